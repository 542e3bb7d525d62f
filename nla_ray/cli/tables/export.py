"""`nla-ray export`: committed tables in the formats of other tools."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from nla_ray.errors import ConfigError
from nla_ray.text import printable

if TYPE_CHECKING:
    from nla_ray.exports.export import Exported

EXAMPLES = """Examples:

nla-ray export out/tables --to out/export --format parquet

nla-ray export s3://bucket/tables --to s3://bucket/export --format parquet --delta --where "control = 'real'"

nla-ray export out/tables --to out/scans --format scout --runs 3f2a --runs 91c0

How other tools read tables and exports is in docs/tables.md.
"""


class Form(StrEnum):
    """Formats of other tools."""

    parquet = "parquet"
    csv = "csv"
    datasets = "datasets"
    workspacebench = "workspacebench"
    scout = "scout"


def export_command(
    tables: Annotated[str, typer.Argument(metavar="TABLES", help="Folder or s3://bucket/prefix.")],
    to: Annotated[str, typer.Option("--to", metavar="PLACE", help="Empty folder or s3://bucket/prefix.")],
    form: Annotated[Form, typer.Option("--format", help="Whose files to write.")],
    runs: Annotated[
        list[str] | None,
        typer.Option("--runs", metavar="ID", help="Run id or its beginning; may be repeated."),
    ] = None,
    where: Annotated[
        str | None, typer.Option("--where", metavar="SQL", help="Condition on a row of all_explanations.")
    ] = None,
    activations: Annotated[bool, typer.Option("--activations", help="The vectors, too.")] = False,
    delta: Annotated[bool, typer.Option("--delta", help="A Delta log beside the Parquet files.")] = False,
) -> None:
    """Export committed rows; files are written once and export.json last, so where it is, all are there.

    The same command finishes an export that was interrupted.
    """
    from nla_ray.exports.export import export_tables
    from nla_ray.exports.record import Choice

    if where is not None and not where.strip():
        raise ConfigError("--where: is empty; write a condition such as \"control = 'real'\"")
    choice = Choice(
        format=form.value, runs=tuple(runs or ()), where=where, activations=activations, delta=delta
    )
    print_exported(export_tables(tables, to, choice))


def print_exported(exported: Exported) -> None:
    """What was exported, what was not, and where."""
    record = exported.record
    rows = ", ".join(f"{name} {number}" for name, number in record.counts().items())
    done = " (exported before; nothing was done)" if exported.before else ""
    typer.echo(f"exported: {rows}, of {len(record.runs)} runs{done}")
    aside = {"in quarantine": sum(run.quarantined for run in record.runs), **record.left_out}
    left_out = ", ".join(f"{number} {reason}" for reason, number in aside.items() if number)
    if left_out:
        typer.echo(f"left out: {left_out}")
    from pydantic import ByteSize

    size = ByteSize(sum(file.bytes for file in record.files)).human_readable(decimal=True)
    typer.echo(printable(f"files: {len(record.files)}, {size}, in {exported.place}"))
