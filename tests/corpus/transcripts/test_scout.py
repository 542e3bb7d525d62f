"""Rows of a Scout table are transcripts; what is damaged is said, and a fault of the disk is no damage."""

from __future__ import annotations

import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nla_ray.corpus.chats.model import Message
from nla_ray.corpus.transcripts.read import transcripts_of
from nla_ray.errors import InputError
from tests.corpus.transcripts.inspect_made import events, messages
from tests.corpus.transcripts.made import read

SAID = json.dumps([{"role": "user", "content": "hello"}, {"role": "assistant", "content": "good day"}])
TOOL = {"type": "function", "function": {"name": "ls", "parameters": {"type": "object"}}}


def table(*rows: dict[str, Any], **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), sink, **options)
    return sink.getvalue()


def test_a_row_is_a_transcript() -> None:
    facts = {
        "model": "m",
        "score": '{"a": 1}',
        "agent_args": "{}",
        "events_data": "{",
        "camp": "north",
        "task_repeat": 2,
    }
    (found,) = read(table({"transcript_id": "t1", "messages": SAID, **facts}), "scout")
    assert found.chat is not None
    assert found.chat.messages == (Message("user", "hello"), Message("assistant", "good day"))
    assert (found.key, dict(found.meta)) == (
        "t1",
        {"transcript_id": "t1", "model": "m", "score": {"a": 1}, "camp": "north", "task_repeat": 2},
    )


@pytest.mark.parametrize("score", ["C", "0.5", None, "{"])
def test_a_score_may_be_a_word(score: str | None) -> None:
    (found,) = read(table({"transcript_id": "t1", "messages": SAID, "score": score}), "scout")
    assert found.chat is not None and found.meta.get("score") == {"0.5": 0.5}.get(score or "", score)


def test_tools_come_from_the_events_or_a_column() -> None:
    heard = {
        "transcript_id": "a",
        "messages": json.dumps(messages()),
        "events": json.dumps(events()),
        "tools": None,
    }
    named = {"transcript_id": "b", "messages": SAID, "events": "[]", "tools": json.dumps([TOOL])}
    spoken = [
        event | {"tools": [{"name": "book"}]} if event["event"] == "model" else event for event in events()
    ]
    heard["events"] = json.dumps(spoken)
    found = read(table(heard, named), "scout")
    assert [[tool["function"]["name"] for tool in one.chat.tools] for one in found if one.chat] == [
        ["book"],
        ["ls"],
    ]
    assert found[0].meta["models"] == ["m/target", "m/grader"]


@pytest.mark.parametrize(
    ("changes", "key", "says"),
    [
        ({"messages": None}, "t1", "null"),
        ({"messages": "[{"}, "t1", "messages"),
        ({"messages": "7"}, "t1", "int"),
        ({"messages": "[" * 3000}, "t1", "messages"),
        ({"events": "{"}, "t1", "events"),
        ({"transcript_id": None}, "row 1", "transcript_id"),
        ({"transcript_id": ""}, "row 1", "transcript_id"),
    ],
)
def test_a_row_that_cannot_be_read_is_a_problem(changes: dict[str, Any], key: str, says: str) -> None:
    row = {"transcript_id": "t1", "messages": SAID, "events": "[]"}
    found = read(table(row | changes, row | {"transcript_id": "t2"}), "scout")
    assert [(one.key, one.chat is None) for one in found] == [(key, True), ("t2", False)]
    assert says in (found[0].problem or "")


def test_messages_may_be_no_text() -> None:
    (found,) = read(table({"transcript_id": "t1", "messages": json.loads(SAID)}), "scout")
    assert found.chat is not None and len(found.chat.messages) == 2


@pytest.mark.parametrize("content", [b"PAR1", b"", table({"transcript_id": "t1"}), table({"messages": SAID})])
def test_what_is_no_table_of_transcripts_is_refused(content: bytes) -> None:
    with pytest.raises(InputError, match=r"some\.file"):
        read(content, "scout")


def test_a_damaged_row_group_is_a_problem_of_its_rows() -> None:
    rows = [{"transcript_id": f"t{n}", "messages": SAID} for n in range(3)]
    content = table(
        *rows,
        row_group_size=1,
        compression="none",
        use_dictionary=False,
        write_page_checksum=True,
        write_statistics=False,
    )
    at = content.index(b"good day", content.index(b"good day") + 1)
    found = read(content[:at] + b"X" + content[at + 1 :], "scout")
    assert [(one.key, one.problem is None) for one in found] == [
        ("t0", True), ("rows 2 to 2", False), ("t2", True),
    ]  # fmt: skip


class Failing(io.BytesIO):
    """A connection that is lost after some reads."""

    left = 0

    def read(self, size: int | None = -1) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise OSError("connection lost")
        return super().read(size)


def outcome(content: bytes, reads: int) -> str:
    file = Failing(content)
    file.left = reads
    try:
        return str([one.problem for one in transcripts_of(file, "scout", "some.file")])
    except OSError as error:
        return str(error)


def test_a_fault_of_the_disk_is_no_fault_of_the_file() -> None:
    rows = [{"transcript_id": f"t{n}", "messages": SAID} for n in range(3)]
    content = table(*rows, row_group_size=1)
    assert {outcome(content, reads) for reads in range(40)} == {"connection lost", "[None, None, None]"}
