"""The folder that a decode writes: one table and the record of its run."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from nla_ray.errors import ConfigError, InputError

TABLE, RECORD = "explanations.parquet", "run.json"


def check_output(folder: Path, run_id: str, *, replace: bool) -> None:
    """Make the folder and prove that it can be written to, before any weight is loaded.

    Raises ConfigError where that fails, or where it holds another run and `replace` is not set.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(
            f"output: cannot write into {folder}: {error.strerror or error}; name another folder"
        ) from None
    record = folder / RECORD
    if replace or not record.exists():
        return
    try:
        other = json.loads(record.read_text(encoding="utf-8"))["run_id"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"output: {record} is not a run record ({type(error).__name__}); name another folder"
        ) from None
    if other != run_id:
        raise ConfigError(
            f"output: {folder} holds another run ({other}): its configuration, corpus or models differ; "
            "name another folder or allow it to be replaced (--replace)"
        )


def write(folder: Path, table: pa.Table, record: dict[str, Any]) -> None:
    """Write the table and then the record, each whole or not at all.

    Raises InputError where the folder cannot be written to.
    """
    try:
        part = folder / f".{TABLE}.part"
        pq.write_table(table, part, compression="zstd", compression_level=3, write_page_checksum=True)
        part.replace(folder / TABLE)
        part = folder / f".{RECORD}.part"
        part.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        part.replace(folder / RECORD)
    except OSError as error:
        raise InputError(f"output: cannot write into {folder}: {error.strerror or error}") from None
