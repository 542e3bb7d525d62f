"""An import, and what is in the tables after it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nla_ray.config.reading.importing import ImportOptions
from nla_ray.pipelines.importing import Imported, import_files
from nla_ray.store import connect


def rows(
    tables: str, sql: str = "FROM all_explanations ORDER BY doc_id, position, sample, row_id"
) -> list[Any]:
    connection = connect(tables)
    found = connection.execute(sql)
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def imported(files: Sequence[str | Path], tables: str, **options: Any) -> Imported:
    return import_files([str(file) for file in files], tables, ImportOptions(**options))
