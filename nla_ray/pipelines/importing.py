"""Import results of other tools: files to one committed run of explanations, taken up where it was left."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import JsonValue

import nla_ray
from nla_ray.config.reading.importing import ImportOptions
from nla_ray.corpus.redaction.find import settled
from nla_ray.errors import ConfigError
from nla_ray.ids import digest
from nla_ray.imports.formats.sources import Format, Source, find_sources
from nla_ray.imports.pieces import Made, Piece, Survey, made_of, pieces_of, survey
from nla_ray.imports.rows import Origin
from nla_ray.store import open_run, open_store
from nla_ray.store.catalog.files import FileRecord
from nla_ray.store.catalog.index import known_runs
from nla_ray.store.places.objects import Store
from nla_ray.store.runs.manifest import get_manifest
from nla_ray.store.runs.plan import EXPLANATIONS_TABLE, Plan, get_plan
from nla_ray.store.runs.run import Run
from nla_ray.store.upkeep.ended import ended_runs, next_id
from nla_ray.tables import IMPORTED

VERSION = 2
"""Of the rows that an import makes of a file; another one makes another run."""


@dataclass(frozen=True)
class Progress:
    """Where an import is: what it does, results done, and of how many where that is known."""

    doing: str
    done: int
    of: int | None


Report = Callable[[Progress], None]


@dataclass(frozen=True)
class Imported:
    """A committed import: its run, where it is, its counts; `before` where it was there already."""

    run_id: str
    tables: str
    sources: tuple[Source, ...]
    summary: Mapping[str, Any]
    before: bool


def import_files(
    files: Sequence[str],
    to: str,
    options: ImportOptions,
    *,
    form: Format | None = None,
    report: Report = lambda _: None,
) -> Imported:
    """Import files into the tables at `to`, a folder or `s3://bucket/prefix`, beside what is there.

    The same files with the same options are the same run: it is continued, or found to be done. `form` is
    believed instead of looking at the files. Raises NlaError; a fault of one result is a row instead.
    """
    started = time.perf_counter()
    options = options.model_copy(update={"redact": settled(options.redact)})
    report(Progress("looking at the files", 0, None))
    sources = find_sources(files, form)
    store = open_store(to)
    run_id = next_id(store, run_id_of(sources, options))
    done = get_manifest(store, run_id)
    if done is not None:
        return _imported(run_id, store, sources, done.manifest.record, before=True)
    refuse_again(store, sources)
    counted = survey(sources, options, _Ticker("counting", None, report))
    plan, pieces = plan_of(run_id, sources, counted, options)
    run = open_run(store, plan, add=True)
    written = write_missing(run, sources, counted, pieces, options, report)
    record: dict[str, JsonValue] = {
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.perf_counter() - started, 3),
        "versions": {"nla_ray": nla_ray.__version__},
        "baseline": baseline_of(sources, counted),
        "summary": sum_up(list(run.tallies())),
    }
    return _imported(run_id, store, sources, run.commit(record, written).record, before=False)


def run_id_of(sources: Sequence[Source], options: ImportOptions) -> str:
    """Id of an import: equal files and options have the same one on every machine."""
    files = [part for source in sources for part in (source.name, source.format, source.sha256)]
    hidden = () if options.redact is None else (options.redact.fingerprint(),)
    return digest("import", VERSION, options.fingerprint(), *hidden, *files)[:32]


def refuse_again(store: Store, sources: Sequence[Source]) -> None:
    """Raise ConfigError for a file whose results are in the tables already: they would count twice."""
    paths = {source.sha256: source.path for source in sources}
    ended = ended_runs(store)
    # What was decoded here has a recipe, so that of such runs no plan is read.
    known = [one for one in known_runs(store).entries if one.table_name == EXPLANATIONS_TABLE]
    there = [one.run_id for one in known if one.recipe is None and one.run_id not in ended]
    plans = store.map(lambda run_id: get_plan(store, run_id), there)
    for plan in plans:
        facts = {} if plan is None else plan.facts
        files: Any = facts.get("sources") if facts.get("provenance") == IMPORTED else None
        for file in files or ():
            if plan is not None and file["sha256"] in paths:
                raise ConfigError(
                    f"{paths[file['sha256']]}: its results are in {store.url} already, as run {plan.run_id} "
                    "with other files or options; leave it out, or name other tables"
                )


def plan_of(
    run_id: str, sources: Sequence[Source], counted: Survey, options: ImportOptions
) -> tuple[Plan, list[list[Piece]]]:
    """The plan, and each file's pieces, which are its units."""
    offsets = [sum(counted.rows[:index]) for index in range(len(sources))]
    pieces = [
        pieces_of(source, rows, offset, options, run_id)
        for source, rows, offset in zip(sources, counted.rows, offsets, strict=True)
    ]
    said = [_common(source, header, options) for source, header in zip(sources, counted.headers, strict=True)]
    agreed = {name: said[0][name] if len({one[name] for one in said}) == 1 else None for name in said[0]}
    kept = {"documents": any(source.format == "transcript" for source in sources)}
    kept["activations"] = options.activations
    plan = Plan(
        run_id=run_id,
        units={piece.unit_id: piece.rows for some in pieces for piece in some},
        sides=tuple(side for side, there in kept.items() if there),
        facts={
            "provenance": IMPORTED,
            "importer": VERSION,
            "name": options.run_name,
            "options": options.model_dump(mode="json"),
            "layer": agreed.pop("layer"),
            "models": agreed,
            "sources": [
                {"name": source.name, "format": source.format, "bytes": source.bytes, "sha256": source.sha256,
                 "rows": rows, "says": dict(header)}
                for source, rows, header in zip(sources, counted.rows, counted.headers, strict=True)
            ],
        },
    )  # fmt: skip
    return plan, pieces


def _common(source: Source, header: Mapping[str, Any], options: ImportOptions) -> dict[str, Any]:
    return dict(Origin.of("", source, header, options).common)


def write_missing(
    run: Run,
    sources: Sequence[Source],
    counted: Survey,
    pieces: Sequence[Sequence[Piece]],
    options: ImportOptions,
    report: Report,
) -> list[FileRecord]:
    """Write the units that are not there yet, and say which."""
    missing = frozenset(run.missing())
    total = sum(piece.rows for some in pieces for piece in some if piece.unit_id in missing)
    tick, written = _Ticker("importing", total, report), []
    for source, header, some in zip(sources, counted.headers, pieces, strict=True):
        origin = Origin.of(run.plan.run_id, source, header, options, counted.layers)
        for piece, made in made_of(origin, some, missing, counted.samples, run.plan.sides, tick):
            kept = _kept(made, options)
            written.append(run.write(piece.unit_id, kept.table, sides=kept.sides, tally=kept.tally))
    return written


def _kept(made: Made, options: ImportOptions) -> Made:
    """What of the tables may be stored."""
    if options.redact is None:
        return made
    # Only redaction needs what reads documents, which takes long to load.
    from nla_ray.pipelines.redacted import redacted

    return redacted(made, options.redact)


def baseline_of(sources: Sequence[Source], counted: Survey) -> dict[str, Any] | None:
    """The denominator of `fve_nrm`, where all files state the same one."""
    stated = {header.get("fve_baseline") for header in counted.headers}
    if len(stated) > 1 or None in stated:
        return None
    return {"value": stated.pop(), "reference": f"stated in {sources[0].name}"}


def sum_up(tallies: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The counts of all units."""
    counts = ("outcomes", "flags", "controls", "problems", "kept")
    summed = {name: Counter[str]() for name in counts}
    for tally in tallies:
        for name in counts:
            summed[name].update(tally[name])
    return {"rows": sum(tally["rows"] for tally in tallies)} | {
        name: dict(sorted(counted.items())) for name, counted in summed.items()
    }


def _imported(
    run_id: str, store: Store, sources: Sequence[Source], record: Mapping[str, Any], *, before: bool
) -> Imported:
    return Imported(run_id, store.url, tuple(sources), record["summary"], before)


class _Ticker:
    """Adds up what is done and reports it."""

    def __init__(self, doing: str, of: int | None, report: Report) -> None:
        self._doing, self._of, self._report = doing, of, report
        self._done = 0
        report(Progress(doing, 0, of))

    def __call__(self, more: int) -> None:
        self._done += more
        self._report(Progress(self._doing, self._done, self._of))
