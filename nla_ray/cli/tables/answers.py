"""Answers of SQL as people and programs want them: a table, CSV, JSON or Parquet, shown or in a file."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from enum import StrEnum
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import typer
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from nla_ray.cli.tables.intervals import (
    interval_text,
    schema_without_intervals,
    without_intervals,
)
from nla_ray.errors import ConfigError, InputError
from nla_ray.text import csv_line, json_text, number_text, printable

if TYPE_CHECKING:
    import pyarrow as pa

    from nla_ray.store.sql.query import Answer

SHOWN_ROWS = 1000
SHOWN_CHARACTERS = 2000
"""A table on a terminal ends here, and so does a cell of it; the other formats have all."""
NARROWEST = 10
"""Characters per column of text under which rows are shown one below the other; numbers are never folded."""
GROUP_ROWS = 65_536


class Format(StrEnum):
    """How an answer is written."""

    table = "table"
    csv = "csv"
    json = "json"
    parquet = "parquet"


Write = Callable[["Answer"], None]


def destination(form: Format | None, output: Path | None, *, force: bool) -> Write:
    """How to write an answer. Raises ConfigError for a combination that cannot be, or an existing file."""
    if output is None:
        return _to_terminal(form or Format.table)
    form = form or next((known for known in Format if output.suffix == f".{known}"), Format.table)
    if form is Format.table:
        raise ConfigError(f"{output}: say with --format whether to write csv, json or parquet")
    if output.exists() and not force:
        raise ConfigError(f"{output}: exists; name another file, or overwrite it with --force")
    return partial(_to_file, form, output, force=force)


def _to_terminal(form: Format) -> Write:
    if form is Format.parquet:
        raise ConfigError("parquet is not for terminals; name a file with -o")
    shown = printable if sys.stdout.isatty() else str
    return {
        Format.table: _print_table,
        Format.csv: lambda answer: _each(sys.stdout, csv_lines(answer), shown),
        Format.json: lambda answer: _each(sys.stdout, json_lines(answer), shown),
    }[form]


def _each(out: IO[str], lines: Iterator[str], shown: Callable[[str], str] = str) -> None:
    for line in lines:
        out.write(shown(line) + "\n")


def _to_file(form: Format, path: Path, answer: Answer, *, force: bool) -> None:
    with _new_file(path, force=force) as out:
        if form is Format.parquet:
            write_parquet(answer, out)
            return
        lines = csv_lines(answer) if form is Format.csv else json_lines(answer)
        out.writelines(f"{line}\n".encode() for line in lines)


@contextmanager
def _new_file(path: Path, *, force: bool) -> Iterator[IO[bytes]]:
    """A file that is there once it is whole, and not before."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with part.open("xb") as out:
            yield out
        if force:
            part.replace(path)
        else:
            path.hardlink_to(part)
    except OSError as error:
        raise InputError(f"{path}: cannot write it: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)


def write_parquet(answer: Answer, out: IO[bytes]) -> None:
    """All rows with their types. Raises InputError for a type that Parquet has not."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    _require_names(answer)
    try:
        schema = schema_without_intervals(answer.schema)
        with pq.ParquetWriter(out, schema, compression="zstd") as writer:
            for batches in _groups(map(without_intervals, answer.batches)):
                writer.write_table(pa.Table.from_batches(batches, schema))
    except pa.ArrowNotImplementedError as error:
        raise InputError(f"sql: cannot write this type as Parquet: {error}; cast it in the SELECT") from None


def _groups(batches: Iterator[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """Batches together, so that a row group is not tiny."""
    group: list[pa.RecordBatch] = []
    for batch in batches:
        group.append(batch)
        if sum(one.num_rows for one in group) >= GROUP_ROWS:
            yield group
            group = []
    if group:
        yield group


def csv_lines(answer: Answer) -> Iterator[str]:
    """A header and rows: text in quotes, nothing for null; no cell is a formula to a spreadsheet."""
    yield csv_line(answer.schema.names)
    for row in _rows(answer):
        yield csv_line(row)


def json_lines(answer: Answer) -> Iterator[str]:
    """An array with one object per line."""
    _require_names(answer)
    names = answer.schema.names
    encode = partial(json_text, ascii_only=sys.stdout.isatty())
    lines = (encode(dict(zip(names, row, strict=True))) for row in _rows(answer))
    yield "["
    last = next(lines, None)
    for line in lines:
        yield f"{last},"
        last = line
    if last is not None:
        yield last
    yield "]"


def _require_names(answer: Answer) -> None:
    names = answer.schema.names
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"sql: two columns are named {twice}; name them apart with AS")


def _rows(answer: Answer) -> Iterator[tuple[Any, ...]]:
    """Rows of values as `plain` makes them. Raises InputError for a time that Python cannot tell."""
    for batch in answer.batches:
        columns = [
            _values(name, column) for name, column in zip(batch.schema.names, batch.columns, strict=True)
        ]
        yield from zip(*columns, strict=True)


def _values(name: str, column: pa.Array) -> list[Any]:
    try:
        return [plain(value) for value in column.to_pylist()]
    except (OverflowError, ValueError):
        raise InputError(
            f"sql: {name} has times outside the years 1 to 9999; cast it in the SELECT, as {name}::VARCHAR"
        ) from None


def plain(value: Any) -> Any:
    """A value as numbers, text, null, lists and objects; what is none of these becomes text."""
    if value is None or isinstance(value, bool | int | str | float):
        return value
    if isinstance(value, Decimal):
        return value if value.as_tuple().exponent else int(value)
    if isinstance(value, list | tuple):
        return interval_text(value) if hasattr(value, "nanoseconds") else [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    return value.hex() if isinstance(value, bytes) else str(value)


def _print_table(answer: Answer) -> None:
    rows = _rows(answer)
    console = Console()
    shown = list(islice(rows, SHOWN_ROWS))
    _print(console, _table(answer.schema, shown, console.width))
    if next(rows, None) is not None:
        typer.echo(f"only the first {SHOWN_ROWS} rows are shown; --format csv has all", err=True)


def _print(console: Console, shown: RenderableType) -> None:
    """Through a pager where it is longer than the screen."""
    if console.is_terminal and len(console.render_lines(shown)) >= console.height:
        with console.pager():
            console.print(shown)
    else:
        console.print(shown)


def _table(schema: pa.Schema, rows: list[tuple[Any, ...]], width: int) -> Table | Text:
    """Rows below each other; where there are too many columns for that, their columns below each other."""
    import pyarrow.types as kinds

    names = [printable(name) for name in schema.names]
    numbers = [
        any(of(field.type) for of in (kinds.is_integer, kinds.is_floating, kinds.is_decimal))
        for field in schema
    ]
    least = [max(NARROWEST, min(len(name), NARROWEST * 2)) for name in names]
    for at, number in enumerate(numbers):
        if number:
            least[at] = max(len(names[at]), *(len(_shown(row[at]).plain) for row in rows), 0)
    if sum(least) + 3 * len(least) + 1 > width:
        return _records(schema.names, rows) if rows else Text("no rows")
    table = Table()
    for name, number, wide in zip(names, numbers, least, strict=True):
        table.add_column(Text(name), justify="right" if number else "left", overflow="fold", min_width=wide)
    for row in rows:
        table.add_row(*map(_shown, row))
    return table


def _records(names: list[str], rows: list[tuple[Any, ...]]) -> Table:
    table = Table(show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        for name, value in zip(names, row, strict=True):
            table.add_row(Text(printable(name)), _shown(value))
        table.add_section()
    return table


def _shown(value: Any) -> Text:
    if isinstance(value, float) and math.isfinite(value):
        text = f"{value:.4g}"
    elif isinstance(value, list | dict):
        text = json_text(value)
    else:
        text = "" if value is None else number_text(value)
    cut = text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
    return Text(printable(cut))
