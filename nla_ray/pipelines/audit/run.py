"""An audit: committed tables in; hits, rates, findings and gates out; tables and a report written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pydantic import JsonValue

from nla_ray.audit.detect.hits import find_hits
from nla_ray.audit.detect.judge import Judge
from nla_ray.audit.detect.others import NO_HELPERS, Helpers, asking, check_helpers
from nla_ray.audit.documents.parts import leave_out
from nla_ray.audit.documents.readings import readings
from nla_ray.audit.findings import FINDING, Row, finding_rows, hit_table
from nla_ray.audit.inference.contrast import in_strata
from nla_ray.audit.inference.exposure import joined
from nla_ray.audit.inference.frame import UNMATCHED, match
from nla_ray.audit.report.model import Part, Report
from nla_ray.audit.report.write import write_report
from nla_ray.audit.tally import Tally, tally
from nla_ray.audit.verdicts.compare import State, Week, claimed, compare, states_of
from nla_ray.audit.verdicts.gates import evidence_gate, gates_of, populations, proof_gate, verdict_of
from nla_ray.audit.verdicts.measured import BENIGN, INSUFFICIENT, Beside
from nla_ray.audit.verdicts.rates import rate_all
from nla_ray.config.audit import AuditConfig, AuditPolicy, Source, Units
from nla_ray.config.detectors.levels import GRAVEST_FIRST
from nla_ray.config.detectors.model import Detector
from nla_ray.config.detectors.packs import Packs, Remote, load_packs
from nla_ray.errors import ConfigError, InputError, NoFileError
from nla_ray.pipelines.audit.audited import AuditedRun, Compared, Judged, Opened, Role, Sources
from nla_ray.pipelines.audit.identity import finished, plan_of, report_sha256, require_free, require_same
from nla_ray.pipelines.audit.report import build_report
from nla_ray.pipelines.review.validation import reviewed
from nla_ray.store import connect, open_run, open_store
from nla_ray.store.catalog.cells import assign
from nla_ray.store.places.files import expand, read_bytes
from nla_ray.store.places.tree import Tree
from nla_ray.store.runs.manifest import Manifest
from nla_ray.store.runs.run import Run
from nla_ray.store.upkeep.ended import next_id
from nla_ray.tables import FINDINGS, RATES, REAL, table_of

if TYPE_CHECKING:
    from nla_ray.pipelines.audit.embedder import Embedder

States = Mapping[tuple[str, str], State]
"""What became of findings, by detector and document."""
Doing = Callable[[str], None]
"""Told what is being done."""


@dataclass(frozen=True)
class Asked:
    """What an audit is of: its configuration, its detectors with what they need, its tables."""

    config: AuditConfig
    packs: Packs
    helpers: Helpers
    sources: Sources


@dataclass(frozen=True)
class Searched:
    """Chosen runs after their detectors: counts by run."""

    opened: Opened
    tallies: Mapping[str, Tally]
    parts: Mapping[str, tuple[Part, ...]]


@dataclass(frozen=True)
class Outcome:
    """How an audit ended."""

    report: Report
    output: str
    done_before: bool
    """The same audit was finished before: nothing was written."""


def audit(
    config: AuditConfig,
    doing: Doing = lambda what: None,
    *,
    labels: Mapping[str, str] = {},
    packs: Packs | None = None,
    keep: bool = False,
) -> Outcome:
    """Audit the runs that the configuration names; the same inputs again give the same bytes, written once.

    `labels` say where the audited runs belong, see `Plan`; `packs` are those of the configuration, where they
    are loaded already; with `keep` the report of another audit is not replaced. Raises InputError and
    ConfigError for tables, packs and settings that cannot be used.
    """
    output = Tree(config.output)
    packs = packs_of(config) if packs is None else packs
    embedder = embedder_of(config, packs)
    helpers = helpers_of(config, embedder)
    check_helpers(packs.detectors, helpers)
    doing("reading the tables")
    sources = sources_of(config)
    store = open_store(config.results or config.source.tables)
    packs = reviewed(packs, config.results or config.source.tables, sources.subject.runs)
    plan = plan_of(config, packs, embedder, sources).model_copy(update={"labels": dict(labels)})
    plan = plan.model_copy(update={"run_id": next_id(store, plan.run_id)})
    if keep:
        require_free(output, plan.run_id)
    run = open_run(store, plan)
    committed = run.committed()
    if committed is not None:
        report = finished(output, committed.record)
        if report is not None:
            assign(store, committed, labels)
            return Outcome(report, output.url, True)
    judged = judged_of(Asked(config, packs, helpers, sources), plan.run_id, doing)
    report = build_report(config, packs, plan.run_id, judged)
    if committed is not None:
        require_same(report, committed.record, store.url)
    # A report that can be read is one of committed tables; killed before it, the same audit writes it.
    manifest = commit(run, judged, report)
    if committed is not None or manifest.labels != labels:
        assign(store, manifest, labels)
    write_report(report, output)
    return Outcome(report, output.url, False)


def helpers_of(config: AuditConfig, embedder: Embedder | None) -> Helpers:
    """What detectors of other kinds than patterns need, as far as it is configured."""
    return Helpers(
        ask=asking(config.source.tables, config.source.runs or None),
        embed=embedder,
        judge=None if config.judge is None else Judge(config.judge),
    )


def sources_of(config: AuditConfig) -> Sources:
    """The tables that the configuration names. Raises ConfigError where two runs are not compared."""
    before = None if config.before is None else open_source(config.before)
    subject = open_source(config.source)
    if before is not None and (len(before.runs), len(subject.runs)) != (1, 1):
        raise ConfigError(
            f"before: a comparison is of one run with one run; found {len(before.runs)} and "
            f"{len(subject.runs)}; name them in before.runs and source.runs"
        )
    if before is not None and before.runs == subject.runs:
        raise ConfigError(
            f"before: {before.tables}: holds the audited run itself ({next(iter(before.runs))}); "
            "name an earlier one"
        )
    return Sources(subject, before, None if config.benign is None else open_source(config.benign))


def judged_of(asked: Asked, audit_id: str, doing: Doing) -> Judged:
    """What the detectors find in all tables, and what may be said of it."""
    doing("searching for what the detectors describe")
    runs = judge_all(asked)
    verdict = verdict_of([gate for one in runs for gate in one.gates])
    reportable = verdict[0] != "not reportable"
    audited = [one for one in runs if one.role == "audited"]
    rows = [row for one in audited for row in rows_of(one, asked.packs, audit_id, reportable=reportable)]
    doing("comparing and writing the report")
    change = compared(asked, runs, rows, reportable=reportable)
    return Judged(runs, rows, verdict, change, said_by(asked.helpers.judge, doing))


def commit(run: Run, judged: Judged, report: Report) -> Manifest:
    """Write the tables of an audit, and say that they are whole."""
    audit_id = run.plan.run_id
    written = [
        run.write(
            one.tally.run_id, rates_table(one, audit_id), sides=beside_rates(one, judged.rows, audit_id)
        )
        for one in judged.audited
    ]
    record: dict[str, JsonValue] = {"report_sha256": report_sha256(report), "verdict": report.verdict}
    record["finished_at"] = datetime.now(UTC).isoformat(timespec="seconds")
    return run.commit(record, written)


def packs_of(policy: AuditPolicy) -> Packs:
    """The detectors that a policy names."""
    packs = load_packs(policy.packs, Remote(lambda path: expand(path).files, read_bytes))
    return packs.only(policy.detectors) if policy.detectors else packs


def open_source(source: Source) -> Opened:
    """A connection to a source's tables. Raises NoFileError where these runs are not there."""
    connection = connect(source.tables, runs=source.runs or None)
    there = dict(
        connection.execute(
            "SELECT run_id, manifest_sha256 FROM runs WHERE table_name = 'explanations' ORDER BY run_id"
        ).fetchall()
    )
    if not there:
        raise NoFileError(f"{source.tables}: holds no run of explanations; name tables that a decode wrote")
    return Opened(source.tables, connection, {run_id: there[run_id] for run_id in source.runs or there})


def embedder_of(config: AuditConfig, packs: Packs) -> Embedder | None:
    """The encoder of detectors by similarity; None where there are none, or it is not configured."""
    if config.embedder is None or all(one.similarity is None for one in packs.detectors):
        return None
    # Only these detectors need torch; an audit without them starts in a second.
    from nla_ray.pipelines.audit.embedder import Embedder

    return Embedder(config.embedder)


def search(opened: Opened, packs: Packs, config: AuditConfig, helpers: Helpers = NO_HELPERS) -> Searched:
    """Find the hits in chosen runs and count them. Raises InputError where no row can be searched."""
    asked = replace(helpers, ask=asking(opened.tables))
    find_hits(opened.connection, packs, tuple(opened.runs), asked)
    parts = leave_out(opened.connection, config.gates)
    tallies = tally(
        opened.connection, packs.detectors, config.evidence, config.benign_documents, config.units
    )
    for run_id in opened.runs:
        if run_id not in tallies or REAL not in tallies[run_id].populations:
            raise InputError(
                f"run {run_id}: holds no explanation that can be searched: none has text (see the view "
                "failures), or all are of special and template tokens, which detectors leave out"
            )
    return Searched(opened, tallies, parts)


def said_by(judge: Judge | None, doing: Doing) -> Mapping[str, int]:
    """How many texts a judge, which is closed by this, has no verdict of, by the reason."""
    if judge is None:
        return {}
    judge.close()
    if judge.asked_again:
        doing(f"{judge.asked_again} kept answers of the judge said nothing and were asked for again")
    return judge.unread


def judge_all(asked: Asked) -> list[AuditedRun]:
    """The audited runs, then those beside them: the one before, and benign ones."""
    config, packs, helpers, sources = asked.config, asked.packs, asked.helpers, asked.sources
    searched = search(sources.subject, packs, config, helpers)
    calm: Searched | None = None
    if sources.benign is not None:
        calm = search(sources.benign, packs, config.model_copy(update={"benign_documents": None}), helpers)
    found = judge_runs(searched, config, packs, calm, "audited")
    twins = [] if calm is None else judge_runs(calm, config, packs, None, "benign")
    if sources.before is None:
        return [*found, *twins]
    earlier = search(sources.before, packs, config, helpers)
    return [*found, *judge_runs(earlier, config, packs, calm, "before"), *twins]


def judge_runs(
    searched: Searched, config: AuditConfig, packs: Packs, calm: Searched | None, role: Role
) -> list[AuditedRun]:
    """Populations, gates and rates of every run; `calm` holds benign documents in runs of their own."""
    made = []
    for run_id in searched.opened.runs:
        counted = searched.tallies[run_id]
        connection, parts = searched.opened.connection, searched.parts.get(run_id, ())
        found = populations(connection, counted)
        gates = gates_of(run_id, found, config.gates, config.evidence, parts, controls=role != "benign")
        gates += (proof_gate(connection, run_id),)
        beside = beside_of(searched, run_id, calm, packs.detectors, config.units)
        rated = tuple(rate_all(counted, packs.detectors, config.evidence, beside))
        if role == "audited":
            gates += tuple(evidence_gate(run_id, rated))
        made.append(AuditedRun(role, connection, counted, found, gates, rated, parts))
    return made


def beside_of(
    searched: Searched, run_id: str, calm: Searched | None, detectors: Sequence[Detector], units: Units
) -> Beside | None:
    """The benign documents of a run, in it or beside it; None where there are none.

    Raises InputError where `units.benign_pair` does not say which two belong together.
    """
    counted, connection = searched.tallies[run_id], searched.opened.connection
    if BENIGN in counted.populations:
        benign = readings(connection, counted, detectors, BENIGN)
    elif calm is not None:
        benign = joined(
            [readings(calm.opened.connection, one, detectors, REAL) for one in calm.tallies.values()]
        )
    else:
        return None
    real = readings(connection, counted, detectors, REAL)
    benign, real, _ = in_strata(benign, real, named=units.stratum is not None)
    if units.benign_pair is None:
        return Beside(benign, real, UNMATCHED)
    for one, kind in ((benign, "benign"), (real, f"audited (run {run_id[:12]})")):
        names, times = np.unique(one.pair, return_counts=True)
        if len(times) and times.max() > 1:
            raise InputError(
                f"units.benign_pair: {times.max()} {kind} documents have {str(names[times.argmax()])!r} in "
                f"{units.benign_pair!r}; a pair is one document of each kind: name another column"
            )
    return Beside(benign, real, replace(match(benign.pair, real.pair), paired=True))


def rows_of(one: AuditedRun, packs: Packs, audit_id: str, *, reportable: bool) -> Iterator[Row]:
    """Rows of the table of findings for a run."""
    return finding_rows(
        one.connection, one.tally, packs.detectors, one.rated, audit_id, reportable=reportable
    )


def compared(
    asked: Asked, runs: Sequence[AuditedRun], rows: Sequence[Row], *, reportable: bool
) -> Compared | None:
    """The comparison with the run before; None where there is none."""
    config, packs = asked.config, asked.packs
    earlier = [one for one in runs if one.role == "before"]
    if not earlier:
        return None
    found = [one for one in runs if one.role == "audited"]
    old = [row for row in rows_of(earlier[0], packs, "", reportable=True) if row["status"] == FINDING]
    states = states_of(keys_of(old), keys_of(row for row in rows if row["status"] == FINDING))
    states = known_states(states, earlier[0], found[0]) if reportable else {}
    detectors = sorted(packs.detectors, key=lambda one: (GRAVEST_FIRST.index(one.level), one.tier, one.id))
    was, now = (
        Week(
            label=one.tally.run_id[:12],
            tally=one.tally,
            readings=readings(one.connection, one.tally, detectors, REAL),
            named=config.units.stratum is not None,
        )
        for one in (earlier[0], found[0])
    )
    made = compare(was, now, detectors, config.evidence, drift=config.gates.drift, states=states)
    told = claimed(states, made.changes)
    gone = [row for row in old if told.get((row["detector"], row["doc_id"])) == "absent"]
    return Compared(made, told, earlier[0].connection, gone)


def known_states(states: States, before: AuditedRun, after: AuditedRun) -> dict[tuple[str, str], State]:
    """States of what both runs could say: of detectors that were judged in both, gone if read again."""
    judged = [
        {rated.detector for rated in one.rated if rated.verdict != INSUFFICIENT} for one in (before, after)
    ]
    read = set(after.tally.populations[REAL].doc_ids.tolist())
    return {
        (detector, doc_id): state
        for (detector, doc_id), state in states.items()
        if detector in judged[0] & judged[1] and (state != "absent" or doc_id in read)
    }


def keys_of(rows: Iterable[Row]) -> set[tuple[str, str]]:
    """The detector and the document of each row."""
    return {(row["detector"], row["doc_id"]) for row in rows}


def rates_table(one: AuditedRun, audit_id: str) -> pa.Table:
    """The rates of one run."""
    common = {"run_id": audit_id, "unit_id": one.tally.run_id, "audited_run": one.tally.run_id}
    return table_of(
        (
            common | {"detector": rated.detector, "detector_verdict": rated.verdict} | rate.model_dump()
            for rated in one.rated
            for rate in rated.rates
        ),
        RATES,
    )


def beside_rates(one: AuditedRun, rows: Sequence[Row], audit_id: str) -> dict[str, pa.Table]:
    """The documents with hits of one run, and the hits."""
    run_id = one.tally.run_id
    mine = [row for row in rows if row["audited_run"] == run_id]
    return {
        "findings": table_of(mine, FINDINGS),
        "hits": hit_table(one.connection, run_id, audit_id, mine),
    }
