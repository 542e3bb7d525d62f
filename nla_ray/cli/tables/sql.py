"""`nla-ray sql`: one SELECT over committed tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from nla_ray.cli.settings import local_file
from nla_ray.cli.tables.answers import Format, destination
from nla_ray.errors import ConfigError, InputError

EXAMPLES = """Examples:

nla-ray sql out/tables "SELECT control, count(*), avg(fve_nrm) FROM all_explanations GROUP BY control"

nla-ray sql out/tables "FROM document_rates('refus')" --format csv -o rates.csv

nla-ray sql s3://bucket/tables -f weekly.sql -o weekly.parquet --timeout 600 --memory 8GB

nla-ray sql s3://bucket/tables --label week=2026-W48 --label model=base "FROM cells"

nla-ray sql out/tables "DESCRIBE explanations"

Queries to start from are in docs/sql.md.
"""


def sql_command(
    tables: Annotated[str, typer.Argument(metavar="TABLES", help="Folder or s3://bucket/prefix.")],
    sql: Annotated[str | None, typer.Argument(metavar="[SQL]", help="One SELECT.")] = None,
    file: Annotated[
        str | None, typer.Option("-f", "--file", help="Read the SELECT from a file or s3:// URL.")
    ] = None,
    form: Annotated[
        Format | None, typer.Option("--format", help="Else by the ending of -o, else a table.")
    ] = None,
    output: Annotated[
        str | None, typer.Option("-o", "--output", help="Write to a new file, not to the terminal.")
    ] = None,
    runs: Annotated[
        list[str] | None, typer.Option("--runs", metavar="ID", help="Read this run alone; may be repeated.")
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="LABEL=VALUE", help="Read cells with this label alone, as week=W."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file of -o.")] = False,
    timeout: Annotated[float, typer.Option(min=0.1, help="Most seconds to wait for the answer.")] = 60,
    memory: Annotated[str, typer.Option(help="Most memory that the SELECT may use.")] = "2GB",
    max_rows: Annotated[int, typer.Option(min=1, help="Most rows of the answer.")] = 10_000_000,
    max_bytes: Annotated[str, typer.Option(help="Largest answer.")] = "10GB",
) -> None:
    """Ask one SELECT of committed tables. It reads nothing but these, and changes nothing.

    Views: explanations, controls, all_explanations, runs, cells, failures, documents; SHOW TABLES lists all.
    """
    text = _text(sql, file)
    write = destination(form, None if output is None else local_file("-o", output), force=force)
    from nla_ray.store.sql.query import query
    from nla_ray.store.sql.request import Limits

    limits = Limits(timeout, _bytes("--memory", memory), max_rows, _bytes("--max-bytes", max_bytes))
    with query(tables, text, limits, runs=runs or None, labels=_labels(labels or ())) as answer:
        write(answer)


def _text(sql: str | None, file: str | None) -> str:
    if (sql is None) == (file is None):
        raise ConfigError("give one SELECT, either as an argument or in a file (-f)")
    if file is None:
        return sql or ""
    from nla_ray.store.places.files import read_bytes

    try:
        return read_bytes(file).decode()
    except UnicodeDecodeError:
        raise InputError(f"-f {file}: is not UTF-8 text; save it as such") from None
    except InputError as error:
        raise type(error)(f"-f {error}; name a file that holds one SELECT") from None


def _labels(given: Sequence[str]) -> dict[str, str]:
    """The labels that are asked for, each given as LABEL=VALUE."""
    from nla_ray.tables import LABELS

    pairs = [one.partition("=") for one in given]
    for label, separator, value in pairs:
        if label not in LABELS or not separator or not value:
            known = ", ".join(LABELS)
            raise ConfigError(f"--label: {label}{separator}{value} is none; write one of {known}, as week=W")
    return {label: value for label, _, value in pairs}


def _bytes(option: str, text: str) -> int:
    """The number of bytes that a size such as 2GB or 512MiB stands for."""
    from pydantic import ByteSize, TypeAdapter, ValidationError

    try:
        return TypeAdapter(ByteSize).validate_python(text)
    except ValidationError:
        raise ConfigError(f"{option}: {text!r} is no size; write it as 2GB or 512MiB") from None
