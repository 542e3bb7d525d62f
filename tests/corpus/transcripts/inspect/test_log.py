"""Inspect logs in each of their shapes are read as what the target saw last."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from nla_ray.corpus.chats.model import Call, Message
from nla_ray.corpus.transcripts.read import transcripts_of
from nla_ray.errors import InputError
from tests.corpus.transcripts.inspect_made import (
    HASH,
    HEADER,
    LONG,
    chunked_log,
    events,
    messages,
    plain_log,
    sample,
)
from tests.corpus.transcripts.made import DEFLATE, read, zipped

SAID = (
    Message("system", "You are a clerk."),
    Message("user", "Book a boat"),
    Message("assistant", "One moment.", "check the tide", (Call("book", {"berth": 4, "for": None}, "c1"),)),
    Message("tool", LONG, call_id="c1", name="book"),
    Message("assistant", "Booked."),
)


def in_json(*samples: object) -> bytes:
    return json.dumps({**HEADER, "samples": samples}).encode()


@pytest.mark.parametrize("shape", ["plain", "chunked", "json"])
def test_a_sample_in_every_shape(shape: str) -> None:
    one = sample()
    content = {"plain": plain_log(one), "chunked": chunked_log(one), "json": in_json(one)}[shape]
    (found,) = read(content, "inspect-json" if shape == "json" else "inspect-eval")
    assert found.problem is None and found.chat is not None
    assert found.key == "t/1_epoch_2"
    assert found.chat.messages == SAID
    assert [tool["function"]["description"] for tool in found.chat.tools] == [LONG]
    assert dict(found.meta) == {
        "sample": "t/1", "epoch": 2, "status": "success", "model": "m/target", "task": "harbour",
        "run_id": "r", "metadata": {"kind": "easy"},
        "scores": {"graded": "C", "length": None}, "limit": "token", "target": "4",
        "models": ["m/target", "m/grader"],
    }  # fmt: skip


def test_references_in_messages_are_resolved() -> None:
    said = messages()
    said[3]["content"] = f"tc://{HASH}"
    (found,) = read(plain_log(sample(messages=said)), "inspect-eval")
    assert found.chat is not None and found.chat.messages == SAID


@pytest.mark.parametrize("shape", [plain_log, chunked_log])
def test_a_reference_to_nothing_is_a_problem(shape: Any) -> None:
    said = messages()
    said[1]["content"] = "attachment://7"
    (found,) = read(shape(sample(messages=said)), "inspect-eval")
    assert found.chat is None and found.problem is not None and "7" in found.problem


def test_without_ids_the_tools_are_those_of_the_logs_model() -> None:
    said = [{name: value for name, value in message.items() if name != "id"} for message in messages()]
    (found,) = read(plain_log(sample(messages=said)), "inspect-eval")
    assert found.chat is not None and len(found.chat.tools) == 1


@pytest.mark.parametrize("shape", [plain_log, chunked_log])
def test_a_compaction_is_named(shape: Any) -> None:
    (found,) = read(
        shape(sample(events=[*events(), {"event": "compaction", "type": "trim"}])), "inspect-eval"
    )
    assert found.chat is not None and found.meta["compacted"] is True


def test_an_error_is_named() -> None:
    (found,) = read(plain_log(sample(error={"message": "broke", "traceback": "..."})), "inspect-eval")
    assert found.meta["error"] == "broke"


def test_the_oldest_logs_hold_events_and_score_elsewhere() -> None:
    old = sample(transcript={"events": events(), "content": {HASH: LONG}}, score={"value": 1})
    old = {name: value for name, value in old.items() if name not in ("events", "attachments", "scores")}
    (found,) = read(plain_log(old), "inspect-eval")
    assert found.chat is not None and len(found.chat.tools) == 1
    assert found.meta["scores"] == {"score": 1}


def test_the_samples_of_an_unfinished_log_are_read() -> None:
    start = {"version": 2, "eval": HEADER["eval"], "plan": {}}
    content = zipped([("_journal/start.json", start), ("samples/t/1_epoch_2.json", sample())])
    (found,) = read(content, "inspect-eval")
    assert found.chat is not None
    assert found.meta["status"] == "started" and found.meta["task"] == "harbour"


def test_a_sample_that_was_logged_twice_is_the_later_one() -> None:
    (found,) = read(plain_log(sample(messages=messages()[:1]), sample()), "inspect-eval")
    assert found.chat is not None and found.chat.messages == SAID


def test_a_sample_that_cannot_be_read_stands_beside_the_others() -> None:
    content = zipped(
        [
            ("header.json", HEADER),
            ("samples/a_epoch_1.json", b'{"id": "a", '),
            ("samples/b_epoch_1.json", [1]),
            ("samples/c_epoch_1.json", sample(messages=[])),
            ("samples/t/1_epoch_2.json", sample()),
        ]
    )
    found = read(content, "inspect-eval")
    assert [(one.key, one.chat is None) for one in found] == [
        ("a_epoch_1", True), ("b_epoch_1", True), ("c_epoch_1", True), ("t/1_epoch_2", False),
    ]  # fmt: skip
    assert all(one.problem and one.meta["task"] == "harbour" for one in found[:3])


def test_samples_with_one_name_have_keys_of_their_own() -> None:
    keys = [one.key for one in read(in_json(sample(), sample(), sample()), "inspect-json")]
    assert keys == ["t/1_epoch_2", "t/1_epoch_2#2", "t/1_epoch_2#3"]


@pytest.mark.parametrize(
    "refs", [[[0, 10**12]], [[2, 1]], [[-1, 2]], [["0", 1]], [[0]], [[0, 99]], [[0, 900_000]] * 2, 7, []]
)
def test_ranges_that_mean_no_messages(refs: Any) -> None:
    shell = {"id": 1, "epoch": 1, "message_refs": refs}
    content = zipped(
        [
            ("header.json", HEADER),
            ("samples/1_epoch_1/sample.json", shell),
            ("samples/1_epoch_1/messages/0.json", messages()),
        ]
    )
    (found,) = read(content, "inspect-eval")
    assert found.chat is None and found.problem


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"PK \n", "zip"),
        (plain_log(sample())[:-30], "zip"),
        (zipped([("readme.json", {})]), "header.json"),
        (zipped([("header.json", b"{")]), "header.json"),
        (b"", "zip"),
    ],
)
def test_what_is_no_log_is_refused(content: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read(content, "inspect-eval")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"status": "success"}', b'{"samples": {}}', b"\xff\xfe\xff"]
)
def test_what_is_no_json_log_is_refused(content: bytes) -> None:
    with pytest.raises(InputError, match=r"some\.file"):
        read(content, "inspect-json")


def test_logs_packed_by_deflate_are_read() -> None:
    content = zipped([("header.json", HEADER), ("samples/t/1_epoch_2.json", sample())], DEFLATE)
    assert [one.problem for one in read(content, "inspect-eval")] == [None]


class Counting(io.BytesIO):
    """Counts the bytes that were asked for."""

    asked = 0

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(size)
        self.asked += len(found)
        return found


def test_a_sample_is_read_when_it_is_asked_for() -> None:
    many = [sample(id=number, target=str(number) * 5000) for number in range(40)]
    file = Counting(plain_log(*many))
    first = next(transcripts_of(file, "inspect-eval", "some.eval"))
    assert first.key == "0_epoch_2"
    assert file.asked < len(file.getvalue()) / 2
