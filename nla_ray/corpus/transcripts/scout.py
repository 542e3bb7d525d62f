"""Tables of transcripts as Inspect Scout keeps them: Parquet, a transcript a row, some columns JSON texts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from nla_ray.corpus.chats.model import Chat
from nla_ray.corpus.chats.read import read_chat
from nla_ray.corpus.transcripts.inspect.sample import functions, heard_facts, listen
from nla_ray.corpus.transcripts.model import Transcript, transcript, unreadable
from nla_ray.corpus.transcripts.values import UnreadableError, objects, parsed
from nla_ray.errors import InputError

NEEDED = ("transcript_id", "messages")
_CONTENT = ("messages", "events", "tools")
_UNREAD = ("events_data", "timelines")
_JSON_FACTS = ("agent_args", "model_options", "score", "scores")
_ROWS = 16


def is_scout(columns: Collection[str]) -> bool:
    """Whether a Parquet file with these columns is such a table."""
    return all(name in columns for name in NEEDED)


def scout_transcripts(file: BinaryIO, label: str, ignore: Collection[str] = ()) -> Iterator[Transcript]:
    """The transcripts of a table, a few rows held at a time.

    Raises InputError: this is no Parquet file, or lacks a column.
    """
    watched = _Watched(file)
    try:
        table = pq.ParquetFile(watched, page_checksum_verification=True, pre_buffer=False)
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise watched.fault or InputError(f"{label}: cannot read this Parquet file: {error}") from None
    columns = [name for name in table.schema_arrow.names if name not in _UNREAD]
    if not is_scout(columns):
        raise InputError(f"{label}: no table of transcripts; it needs the columns {' and '.join(NEEDED)}")
    number = 1
    for group in range(table.num_row_groups):
        end = number + table.metadata.row_group(group).num_rows
        try:
            for batch in table.iter_batches(_ROWS, row_groups=[group], columns=columns):
                for index in range(len(batch)):
                    yield _row(batch, index, number, ignore)
                    number += 1
        except (OSError, pa.ArrowException) as error:
            if watched.fault is not None:
                raise watched.fault from None
            yield unreadable(f"rows {number} to {end - 1}", f"cannot be read: {error}")
        number = end


class _Watched:
    """A file that remembers what the disk or the network raised; to Arrow that is damaged content."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.fault: Exception | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            return self._file.read(size)
        except Exception as error:
            self.fault = error
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _row(batch: pa.RecordBatch, index: int, number: int, ignore: Collection[str]) -> Transcript:
    row = dict[str, Any]()
    for name in batch.schema.names:
        try:
            row[name] = batch[name][index].as_py()
        except (ValueError, OverflowError, KeyError, pa.ArrowException) as error:
            return unreadable(f"row {number}", f"column {name!r} holds a value that cannot be read: {error}")
    key = row["transcript_id"]
    if not isinstance(key, str) or not key:
        return unreadable(f"row {number}", f"'transcript_id' holds {key!r:.80} where an id belongs")
    facts = {name: _fact(name, value) for name, value in row.items() if name not in _CONTENT}
    try:
        messages = _value(row, "messages")
        heard = listen(objects(_value(row, "events")), messages, row.get("model"))
        tools = functions(heard.tools) or _value(row, "tools")
    except UnreadableError as error:
        return unreadable(key, error, facts)

    def read() -> Chat:
        return read_chat(messages, tools=tools, ignore=ignore, nulls=True)

    return transcript(key, read, {**facts, **heard_facts(heard)})


def _fact(name: str, value: Any) -> Any:
    """A column of metadata; in some, a text may be JSON or a plain word."""
    try:
        return parsed(value) if name in _JSON_FACTS and isinstance(value, str) else value
    except UnreadableError:
        return value


def _value(row: Mapping[str, Any], name: str) -> Any:
    """What a column holds, be it a JSON text or a value of its own."""
    value = row.get(name)
    try:
        return parsed(value) if isinstance(value, str) and value.strip() else value or None
    except UnreadableError as error:
        raise UnreadableError(f"column {name!r} holds what is {error}") from None
