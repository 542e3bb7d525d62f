"""ATIF trajectories become messages in order, and what they cannot say is named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nla_ray.corpus.chats.model import Call, Message
from nla_ray.errors import InputError
from tests.corpus.transcripts.made import lines, read

TOOL = {"type": "function", "function": {"name": "ls", "parameters": {"type": "object", "properties": {}}}}
AGENT = {"name": "walker", "version": "1", "model_name": "m1", "tool_definitions": [TOOL]}


def call(name: str, **arguments: object) -> dict[str, Any]:
    return {"tool_call_id": f"c-{name}", "function_name": name, "arguments": arguments}


def result(name: str, content: object, **more: object) -> dict[str, Any]:
    return {"source_call_id": f"c-{name}", "content": content, **more}


def trajectory(*steps: object, **more: object) -> dict[str, Any]:
    return {"schema_version": "ATIF-v1.7", "session_id": "s", "agent": AGENT, "steps": list(steps), **more}


USER = {"step_id": 1, "source": "user", "message": "look around"}
BOTH = {
    "step_id": 2,
    "source": "agent",
    "model_name": "m2",
    "message": "I look.",
    "reasoning_content": "where am I",
    "tool_calls": [call("ls", path="."), call("pwd")],
    "observation": {"results": [result("ls", "a b"), result("pwd", None)]},
    "metrics": {"prompt_tokens": 7},
}


def test_results_follow_the_calls_of_their_step() -> None:
    system = {"source": "system", "message": "You walk."}
    (found,) = read(lines(trajectory(system, USER, BOTH)), "atif")
    assert found.chat is not None
    assert found.chat.messages == (
        Message("system", "You walk."),
        Message("user", "look around"),
        Message(
            "assistant",
            "I look.",
            "where am I",
            (Call("ls", {"path": "."}, "c-ls"), Call("pwd", {}, "c-pwd")),
        ),
        Message("tool", "a b", call_id="c-ls"),
        Message("tool", "", call_id="c-pwd"),
    )
    assert list(found.chat.tools) == [TOOL]
    assert (found.key, found.meta["models"], found.meta["agent"]) == ("s", ["m1", "m2"], "walker")


@pytest.mark.parametrize("indent", [None, 2])
def test_one_object_however_it_is_written(indent: int | None) -> None:
    (found,) = read(json.dumps(trajectory(USER), indent=indent).encode(), "atif")
    assert found.chat is not None and found.chat.messages == (Message("user", "look around"),)


def test_one_trajectory_a_line() -> None:
    content = (
        lines(trajectory(USER, trajectory_id="one"), trajectory(USER)) + b"{oops}\n" + lines(trajectory(USER))
    )
    found = read(content, "atif")
    assert [(one.key, one.problem is None) for one in found] == [
        ("one", True), ("s", True), ("line 3", False), ("s#2", True),
    ]  # fmt: skip


def test_trajectories_of_subagents_stand_beside_that_of_their_agent() -> None:
    inner = trajectory(
        USER, trajectory_id="inner", subagent_trajectories=[trajectory(USER, session_id="deep")]
    )
    found = read(lines(trajectory(USER, subagent_trajectories=[inner, 7])), "atif")
    assert [(one.key, one.chat is None) for one in found] == [
        ("s", False), ("s/inner", False), ("s/inner/deep", False), ("s/subagent 2", True),
    ]  # fmt: skip


def test_what_the_messages_do_not_show_is_in_the_metadata() -> None:
    ref = {"session_id": "other", "trajectory_path": "other.json"}
    summary = {
        "source": "system",
        "message": "so far",
        "extra": {"context_management": {"type": "compaction"}},
    }
    seen = {
        "source": "agent",
        "message": "",
        "observation": {"results": [{"subagent_trajectory_ref": [ref]}]},
    }
    content = trajectory(
        {**USER, "is_copied_context": True}, summary, seen, continued_trajectory_ref="next.json"
    )
    (found,) = read(lines(content), "atif")
    assert found.chat is not None and [message.role for message in found.chat.messages][2:] == ["assistant"]
    assert (found.meta["compacted"], found.meta["copied_steps"]) == (True, 1)
    assert (found.meta["continued_trajectory_ref"], found.meta["subagent_refs"]) == ("next.json", [ref])


def test_an_image_has_a_placeholder() -> None:
    parts = [
        {"type": "text", "text": "see "},
        {"type": "image", "source": {"media_type": "image/png", "path": "a.png"}},
    ]
    (found,) = read(lines(trajectory({"source": "user", "message": parts})), "atif")
    assert found.chat is not None and found.chat.messages == (
        Message("user", "see [image]", lost=("image",)),
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"source": "narrator"}, "narrator"),
        ({"source": ["user"]}, "source"),
        ({"prefill": "I will"}, "prefill"),
        ({"observation": ["a"]}, "observation"),
        ({"observation": {"results": {"content": "a"}}}, "results"),
        ({"tool_calls": ["ls"]}, "tool_calls"),
        ({"message": 7}, "content"),
    ],
)
def test_a_step_that_cannot_be_understood_is_a_problem(changes: dict[str, Any], says: str) -> None:
    (found,) = read(lines(trajectory({**USER, **changes})), "atif")
    assert found.chat is None and found.problem is not None and says in found.problem


@pytest.mark.parametrize(
    "changes", [{"schema_version": "ATIF-v2.0"}, {"schema_version": 1}, {"steps": []}, {"steps": 3}]
)
def test_a_trajectory_that_cannot_be_understood_is_a_problem(changes: dict[str, Any]) -> None:
    (found,) = read(lines(trajectory(USER) | changes), "atif")
    assert found.chat is None and next(iter(changes)) in (found.problem or "")


@pytest.mark.parametrize("content", [b"{\n 7", b"\xff\xfe"])
def test_what_is_no_json_is_refused(content: bytes) -> None:
    with pytest.raises(InputError, match=r"some\.file"):
        read(content, "atif")
