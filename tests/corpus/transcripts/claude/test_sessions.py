"""Session files of Claude Code: which lines the model saw together, and in which order."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nla_ray.corpus.chats.model import Call, Message
from nla_ray.corpus.transcripts.model import Transcript
from tests.corpus.transcripts.made import lines, read

Row = dict[str, Any]


def row(uuid: str, parent: str | None, **more: Any) -> Row:
    return {"parentUuid": parent, "isSidechain": False, "sessionId": "s", "uuid": uuid, **more}


def user(uuid: str, parent: str | None, content: Any, **more: Any) -> Row:
    return row(uuid, parent, type="user", message={"role": "user", "content": content}, **more)


def reply(uuid: str, parent: str | None, name: str, *blocks: Row, **more: Any) -> Row:
    message = {
        "id": name,
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": list(blocks),
        "usage": {},
    }
    return row(uuid, parent, type="assistant", message=message, requestId="r", **more)


def text(value: str) -> Row:
    return {"type": "text", "text": value}


def use(name: str, **arguments: Any) -> Row:
    return {"type": "tool_use", "id": f"t-{name}", "name": name, "input": arguments}


def result(uuid: str, parent: str, name: str, content: Any = "done") -> Row:
    block = {"type": "tool_result", "tool_use_id": f"t-{name}", "content": content}
    return user(uuid, parent, [block], toolUseResult={"stdout": "done"})


def said(one: Transcript) -> list[tuple[str, str]]:
    assert one.chat is not None, one.problem
    return [(message.role, message.content) for message in one.chat.messages]


def by_key(*rows: Row) -> dict[str, Transcript]:
    return {one.key: one for one in read(lines(*rows), "claude-code")}


def test_lines_of_one_reply_are_one_message() -> None:
    thinking = {"type": "thinking", "thinking": "hm", "signature": "x"}
    (found,) = read(
        lines(
            user("u1", None, "list it", version="2.1", cwd="/w", timestamp="2026-01-01T00:00:00Z"),
            reply("a1", "u1", "m1", thinking),
            reply("a2", "a1", "m1", text("I list.")),
            reply("a3", "a2", "m1", use("ls", path=".")),
            result("u2", "a3", "ls", [text("a "), text("b")]),
            reply("a4", "u2", "m2", text("a and b"), version="2.1", cwd="/w"),
        ),
        "claude-code",
    )
    assert found.chat is not None
    assert found.chat.messages == (
        Message("user", "list it"),
        Message("assistant", "I list.", "hm", (Call("ls", {"path": "."}, "t-ls"),)),
        Message("tool", "a b", call_id="t-ls"),
        Message("assistant", "a and b"),
    )
    assert dict(found.meta) == {
        "session": "s", "branch": "main", "leaf": "a4", "started": "2026-01-01T00:00:00Z", "models": ["m"],
        "version": "2.1", "cwd": "/w", "system_prompt": "not recorded", "tools": "not recorded",
    }  # fmt: skip
    assert found.key == "s"


PARALLEL = (
    user("u1", None, "both"),
    reply("a1", "u1", "m1", use("ls")),
    reply("a2", "a1", "m1", use("pwd")),
    result("r1", "a1", "ls", "files"),
    result("r2", "a2", "pwd", "here"),
)


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (0, 1, 3, 2, 4), (0, 1, 2, 4, 3)])
@pytest.mark.parametrize("last", ["r1", "r2"])
def test_results_of_calls_made_at_once_are_on_one_branch(order: tuple[int, ...], last: str) -> None:
    rows = [PARALLEL[index] for index in order] + [reply("a3", last, "m2", text("end"))]
    (found,) = read(lines(*rows), "claude-code")
    assert found.chat is not None
    roles = [(message.role, message.content) for message in found.chat.messages]
    assert [call.name for call in found.chat.messages[1].calls] == ["ls", "pwd"]
    assert roles[:2] == [("user", "both"), ("assistant", "")] and roles[-1] == ("assistant", "end")
    assert sorted(roles[2:-1]) == [("tool", "files"), ("tool", "here")]


def test_a_branch_that_was_left_has_a_key_of_its_own() -> None:
    found = by_key(
        user("u1", None, "first"),
        reply("a1", "u1", "m1", text("one")),
        user("u2", "a1", "left"),
        reply("a2", "u2", "m2", text("two")),
        user("u3", "a1", "kept"),
    )
    assert said(found["s"]) == [("user", "first"), ("assistant", "one"), ("user", "kept")]
    assert said(found["s/a2"])[2:] == [("user", "left"), ("assistant", "two")]
    assert (found["s"].meta["branch"], found["s/a2"].meta["branch"]) == ("main", "side")


def test_sidechains_are_transcripts_of_their_own() -> None:
    side = {"isSidechain": True, "agentId": "ag"}
    found = by_key(
        user("u1", None, "go"),
        reply("a1", "u1", "m1", use("Task", prompt="find")),
        user("x1", "a1", "find", **side),
        reply("x2", "x1", "m2", text("found"), **side),
        result("r1", "a1", "Task", "found"),
    )
    assert said(found["s/ag/x2"]) == [("user", "find"), ("assistant", "found")]
    assert found["s/ag/x2"].meta["branch"] == "sidechain"
    assert said(found["s"]) == [("user", "go"), ("assistant", ""), ("tool", "found")]


@pytest.mark.parametrize("parent", [None, "a1"])
def test_a_compaction_begins_a_transcript(parent: str | None) -> None:
    found = by_key(
        user("u1", None, "first"),
        reply("a1", "u1", "m1", text("one")),
        row("b", parent, type="system", subtype="compact_boundary", compactMetadata={"preTokens": 9}),
        user("u2", "b", "the story so far", isCompactSummary=True),
        reply("a2", "u2", "m2", text("two")),
    )
    assert said(found["s"]) == [("user", "the story so far"), ("assistant", "two")]
    assert (found["s"].meta["compacted"], found["s"].meta["compaction"]) == (True, [{"preTokens": 9}])
    assert said(found["s/a1"]) == [("user", "first"), ("assistant", "one")]
    assert "compacted" not in found["s/a1"].meta


def test_a_summary_begins_a_transcript_wherever_it_hangs() -> None:
    found = by_key(user("u1", None, "first"), user("u2", "u1", "the story so far", isCompactSummary=True))
    assert said(found["s"]) == [("user", "the story so far")]
    assert said(found["s/u1"]) == [("user", "first")]


def test_nothing_is_seen_of_what_was_cleared() -> None:
    clear = "<command-name>/clear</command-name>\n<command-args></command-args>"
    found = by_key(user("u1", None, "first"), user("u2", "u1", clear), user("u3", "u2", "second"))
    assert said(found["s"]) == [("user", "second")] and said(found["s/u1"]) == [("user", "first")]
    assert found["s"].meta["left_out"] == {"clear": 1} and "compacted" not in found["s"].meta


def test_what_the_model_did_not_see_is_left_out_and_counted() -> None:
    (found,) = read(
        lines(
            {"type": "summary", "summary": "boats", "leafUuid": "a1"},
            {"type": "file-history-snapshot", "messageId": "u1", "snapshot": {}},
            user("c1", None, "Caveat: do not answer", isMeta=True),
            user("c2", "c1", "<command-name>/model</command-name>"),
            user("c3", "c2", [text("<local-command-stdout></local-command-stdout>")]),
            row("p", "c3", type="progress", data={}),
            user("u1", "p", "why does <command-name> stand in my log?"),
            row("y", "u1", type="system", subtype="turn_duration"),
            reply("a0", "y", "m0", text("overloaded"), isApiErrorMessage=True),
            reply("a1", "a0", "m1", text("it is a mark")),
        ),
        "claude-code",
    )
    assert said(found) == [
        ("user", "why does <command-name> stand in my log?"),
        ("assistant", "it is a mark"),
    ]
    assert found.meta["left_out"] == {
        "meta": 1,
        "command": 2,
        "progress": 1,
        "turn_duration": 1,
        "api_error": 1,
    }


def test_a_beginning_that_is_not_in_the_file_is_named() -> None:
    (found,) = read(lines(user("u2", "u1", "go on")), "claude-code")
    assert found.chat is not None and found.meta["missing_parent"] == "u1"


@pytest.mark.parametrize(
    "rows",
    [
        (user("u1", "a1", "x"), reply("a1", "u1", "m", text("y"))),
        (user("u1", "u1", "x"),),
        (user("u1", "a1", "x"), reply("a1", "u1", "m", text("y")), user("u2", "a1", "z")),
        (user("u1", "p", "x"), row("p", "u1", type="progress")),
    ],
)
def test_a_circle_of_lines_is_a_problem(rows: tuple[Row, ...]) -> None:
    (found,) = read(lines(*rows), "claude-code")
    assert found.chat is None and "circle" in (found.problem or "")


@pytest.mark.parametrize(
    "bad",
    [
        b"{oops\n",
        b"[1]\n",
        json.dumps({"type": "user", "uuid": "u9"}).encode() + b"\n",
        json.dumps({"type": "user", "message": {"role": "user", "content": "x"}}).encode() + b"\n",
        b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}\n",
    ],
)
def test_a_line_that_cannot_be_read_stands_beside_the_others(bad: bytes) -> None:
    found = read(lines(user("u1", None, "hi")) + bad, "claude-code")
    assert [(one.key, one.chat is None) for one in found] == [("line 2", True), ("s", False)]


def test_a_long_session_is_read() -> None:
    rows = [user("0", None, "hi")] + [user(str(n), str(n - 1), f"and {n}") for n in range(1, 20_000)]
    (found,) = read(lines(*rows), "claude-code")
    assert found.chat is not None and len(found.chat.messages) == 20_000
