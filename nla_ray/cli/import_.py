"""`nla-ray import`: results that other tools wrote into tables of explanations."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress as Bar
from rich.text import Text

from nla_ray.cli.output import stoppable
from nla_ray.errors import ConfigError, Exit
from nla_ray.text import printable

if TYPE_CHECKING:
    from nla_ray.pipelines.importing import Imported, Progress, Report

INTERVAL_S = 30.0
MOST_PROBLEMS = 5


class Form(StrEnum):
    """Formats of other tools."""

    json = "json"
    jsonl = "jsonl"
    parquet = "parquet"
    transcript = "transcript"


def import_command(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Results; local or s3://.")],
    to: Annotated[str, typer.Option("--to", metavar="TABLES", help="Folder or s3://bucket/prefix.")],
    form: Annotated[
        Form | None, typer.Option("--format", help="Believe this instead of looking at the files.")
    ] = None,
    run_name: Annotated[
        str | None, typer.Option("--run-name", help="Name of the run that made the files.")
    ] = None,
    layer: Annotated[int | None, typer.Option("--layer", help="K, where the files do not say it.")] = None,
    target: Annotated[str | None, typer.Option("--target", help="The model that was read.")] = None,
    av: Annotated[str | None, typer.Option("--av", help="The verbalizer.")] = None,
    ar: Annotated[str | None, typer.Option("--ar", help="The reconstructor.")] = None,
    control: Annotated[
        list[str] | None,
        typer.Option("--control", metavar="WORD=NAME", help="What a word of the files' controls means here."),
    ] = None,
    activations: Annotated[
        bool, typer.Option("--activations", help="Keep the vectors of Parquet files, too.")
    ] = False,
    redact: Annotated[
        str | None,
        typer.Option("--redact", metavar="FILE", help="YAML: what is hidden, see docs/guide.md."),
    ] = None,
) -> None:
    """Import results of other tools: JSON, JSON lines, Parquet, transcripts. What they do not say is null.

    Exits 10 when not one result could be read; docs/operations.md has all exit codes.
    """
    from pydantic import ValidationError

    from nla_ray.cli.settings import settings_of
    from nla_ray.config.reading.importing import ImportOptions
    from nla_ray.config.reading.redaction import Redact
    from nla_ray.pipelines.importing import import_files

    try:
        options = ImportOptions(
            run_name=run_name, layer=layer, target=target, av=av, ar=ar, activations=activations,
            control=_words(control or ()), redact=None if redact is None else settings_of(Redact, redact, ()),
        )  # fmt: skip
    except ValidationError as error:
        problem = error.errors()[0]
        raise ConfigError(f"--{str(problem['loc'][0]).replace('_', '-')}: {problem['msg']}") from None
    console = Console()
    with stoppable(to), progress(console) as report:
        imported = import_files(files, to, options, form=form.value if form else None, report=report)
    print_imported(imported, console)
    if set(imported.summary["outcomes"]) <= {"failed"}:
        raise typer.Exit(Exit.NO)


def _words(pairs: Iterable[str]) -> dict[str, Any]:
    """`WORD=NAME` as word and name, in small letters as they are compared."""
    split = [pair.lower().rpartition("=") for pair in pairs]
    for word, _, name in split:
        if not word.strip() or not name.strip():
            raise ConfigError(f"--control {word}{name}: write WORD=NAME, such as zero=none")
    return {word.strip(): name.strip() for word, _, name in split}


@contextmanager
def progress(console: Console) -> Iterator[Report]:
    """A bar on a terminal; elsewhere a line each 30 s."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    with Bar(console=console, transient=True) as bar:
        task = bar.add_task("", total=None)

        def report(now: Progress) -> None:
            bar.update(task, description=now.doing, completed=now.done, total=now.of)

        yield report


class _Lines:
    """Progress for logs; a short import has none."""

    def __init__(self, console: Console) -> None:
        self._console, self._at = console, time.monotonic()

    def __call__(self, now: Progress) -> None:
        if time.monotonic() - self._at >= INTERVAL_S:
            self._at = time.monotonic()
            of = "" if now.of is None else f" of {now.of}"
            self._console.out(f"{now.doing}: {now.done}{of} results", highlight=False)


def print_imported(imported: Imported, console: Console) -> None:
    """What was imported, and where: outcomes, flags, controls, why results failed, a query to begin with."""
    summary = imported.summary
    for source in imported.sources:
        _line(console, source.format, source.path)
    done = " (imported before; nothing was done)" if imported.before else ""
    _line(console, "imported", f"{summary['rows']} rows, run {imported.run_id}{done}")
    _line(console, "outcomes", _shares(summary["outcomes"], summary["rows"]))
    for name in ("flags", "controls"):
        others = {key: count for key, count in summary[name].items() if key != "real"}
        if others:
            _line(console, name, _shares(others, summary["rows"]))
    for problem, count in sorted(summary["problems"].items(), key=lambda found: -found[1])[:MOST_PROBLEMS]:
        _line(console, "  failed", f"{count} x {problem}")
    if sum(summary["kept"].values()):
        _line(console, "beside them", ", ".join(f"{name} {n}" for name, n in summary["kept"].items()))
    _line(console, "tables", imported.tables)
    sql = "SELECT outcome, count(*) AS n, avg(fve_nrm) AS fve_nrm FROM explanations "
    sql += f"WHERE run_id = '{imported.run_id}' GROUP BY outcome ORDER BY n DESC"
    _line(console, "try", f'nla-ray sql {shlex.quote(imported.tables)} "{sql}"')


def _shares(counts: Mapping[str, int], total: int) -> str:
    most = sorted(counts.items(), key=lambda found: -found[1])
    return ", ".join(f"{name} {count} ({count / total:.1%})" for name, count in most)


def _line(console: Console, name: str, value: str) -> None:
    console.print(Text.assemble((f"{name}: ", "bold"), printable(value)), soft_wrap=True)
