"""`nla-ray sql`: one SELECT over committed tables."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nla_ray.cli.output import printable
from nla_ray.errors import ConfigError, InputError

SHOWN_ROWS = 1000
"""A table on a terminal ends here; csv and json have all rows."""


class Format(StrEnum):
    """How an answer is written."""

    table = "table"
    csv = "csv"
    json = "json"


def sql_command(
    tables: Annotated[str, typer.Argument(metavar="TABLES", help="Folder or s3://bucket/prefix.")],
    sql: Annotated[str | None, typer.Argument(metavar="[SQL]", help="One SELECT.")] = None,
    file: Annotated[Path | None, typer.Option("-f", "--file", help="Read the SELECT from a file.")] = None,
    form: Annotated[Format, typer.Option("--format", help="For people or for programs.")] = Format.table,
) -> None:
    """Ask one SELECT of committed tables: explanations, controls, all_explanations, runs, failures."""
    text = _text(sql, file)
    from nla_ray.store.query import query

    answer = query(tables, text)
    write = {Format.table: _write_table, Format.csv: _write_csv, Format.json: _write_json}[form]
    write(answer.columns, answer.rows)


def _text(sql: str | None, file: Path | None) -> str:
    if (sql is None) == (file is None):
        raise ConfigError("give one SELECT, either as an argument or in a file (-f)")
    if file is None:
        return sql or ""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot read SQL from it: {error}") from None


Rows = Iterator[tuple[Any, ...]]


def _write_table(columns: Sequence[str], rows: Rows) -> None:
    console = Console()
    table = Table()
    shown = list(islice(rows, SHOWN_ROWS))
    for index, name in enumerate(columns):
        numbers = all(isinstance(row[index], int | float) for row in shown if row[index] is not None)
        table.add_column(Text(printable(name)), justify="right" if numbers else "left", overflow="fold")
    for row in shown:
        table.add_row(*(Text("" if value is None else printable(_shown(value))) for value in row))
    console.print(table)
    if next(rows, None) is not None:
        typer.echo(f"only the first {SHOWN_ROWS} rows are shown; --format csv has all", err=True)


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _write_csv(columns: Sequence[str], rows: Rows) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    shown = printable if sys.stdout.isatty() else str
    for row in rows:
        plain = (_plain(value, json.dumps) for value in row)
        writer.writerow([shown(value) if isinstance(value, str) else value for value in plain])


def _write_json(columns: Sequence[str], rows: Rows) -> None:
    """An array with one object per line."""
    typer.echo("[", nl=False)
    for number, row in enumerate(rows):
        values = dict(zip(columns, map(_plain, row), strict=True))
        line = json.dumps(values, ensure_ascii=sys.stdout.isatty())
        typer.echo(f"{',' if number else ''}\n{line}", nl=False)
    typer.echo("\n]")


def _plain(value: Any, nested: Callable[[Any], Any] = lambda value: value) -> Any:
    """A value as JSON has it: numbers, text, null; what is neither becomes text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return nested([_plain(item) for item in value])
    if isinstance(value, dict):
        return nested({str(key): _plain(item) for key, item in value.items()})
    return str(value)
