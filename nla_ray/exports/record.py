"""What an export is made of and what it holds: the content of its `export.json`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal, get_args

from pydantic import StringConstraints

from nla_ray.config.base import Config
from nla_ray.store.runs.manifest import Sha256
from nla_ray.store.runs.plan import Count, Name

Format = Literal["parquet", "csv", "datasets", "workspacebench", "scout"]
FORMATS: tuple[Format, ...] = get_args(Format)
TABULAR: tuple[Format, ...] = ("parquet", "csv", "datasets")
"""Formats that take whole tables; the others have rows of their own."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Choice(Config):
    """What a user asks for."""

    format: Format
    runs: tuple[str, ...] = ()
    """Ids of runs, or their beginnings; none: all runs of explanations."""
    where: Annotated[str, StringConstraints(min_length=1)] | None = None
    """A condition in SQL over the columns of `all_explanations`."""
    activations: bool = False
    """Take the vectors, too."""
    delta: bool = False
    """Write a Delta log beside the Parquet files."""


class ExportedRun(Config):
    """A run whose rows were taken, as its manifest counts them."""

    run_id: Name
    manifest_sha256: Sha256
    rows: Count
    quarantined: Count
    """Planned rows that no worker could make; no export has them."""
    finished_at: str | None
    """UTC, ISO 8601."""


class Request(Config):
    """What the files of an export follow from: the same request makes the same files."""

    version: Literal[1] = 1
    nla_ray: str
    """Version of the package that writes."""
    format: Format
    delta: bool
    tables: tuple[str, ...]
    where: str | None
    runs: tuple[ExportedRun, ...]

    def at(self) -> datetime:
        """When the newest run ended: an export has no time of its own, so that it can be made again."""
        return max(
            (datetime.fromisoformat(run.finished_at) for run in self.runs if run.finished_at), default=EPOCH
        )

    def to_json(self) -> bytes:
        """The bytes of a JSON file."""
        return (self.model_dump_json(indent=2) + "\n").encode()


class ExportedFile(Config):
    """A file of an export."""

    key: str
    """Its path below the export."""
    table: str | None
    """What its rows are; None for a file that other tools keep beside the rows."""
    sha256: Sha256
    bytes: Count
    rows: Count


class Record(Request):
    """A finished export."""

    left_out: dict[str, Count]
    """Rows of these runs that the format has no place for, by reason."""
    files: tuple[ExportedFile, ...]

    def counts(self) -> dict[str, int]:
        """Rows by what they are."""
        tables = dict.fromkeys(file.table for file in self.files if file.table is not None)
        return {name: sum(file.rows for file in self.files if file.table == name) for name in tables}
