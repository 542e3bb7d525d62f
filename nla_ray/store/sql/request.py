"""The question that the process of an analyst's SELECT gets: the SELECT, what it may read and use."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Limits:
    """What one SELECT may use, in seconds and bytes; rows and bytes with `max_` are those of its answer."""

    seconds: float = 60
    memory: int = 2_000_000_000
    max_rows: int = 10_000_000
    max_bytes: int = 10_000_000_000
    threads: int = min(4, os.cpu_count() or 1)


@dataclass(frozen=True)
class Request:
    """What to answer, over which local files of each table and which rows of `runs` and `cells`."""

    sql: str
    files: Mapping[str, list[str]]
    runs: list[dict[str, Any]]
    cells: list[dict[str, Any]]
    limits: Limits

    def to_json(self) -> bytes:
        """The request as the process reads it."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Request:
        """The request that `to_json` wrote."""
        values = json.loads(data)
        return cls(**values | {"limits": Limits(**values["limits"])})
