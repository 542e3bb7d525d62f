"""ATIF trajectories: steps, each with the calls and their results in it, become messages in order."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, BinaryIO

from nla_ray.corpus.chats.model import Chat
from nla_ray.corpus.chats.read import read_chat
from nla_ray.corpus.transcripts.model import Transcript, transcript, unreadable
from nla_ray.corpus.transcripts.values import (
    LARGEST,
    UnreadableError,
    json_lines,
    objects,
    parsed,
    some_object,
)
from nla_ray.errors import InputError

_VERSION = re.compile(r"ATIF-v1\.\d+")
_ROLES = {"system": "system", "user": "user", "agent": "assistant"}
_UNDERSTOOD = ("source", "message", "reasoning_content", "tool_calls", "observation")
_BESIDE = (
    "step_id", "timestamp", "model_name", "reasoning_effort", "metrics", "is_copied_context",
    "llm_call_count", "extra",
)  # fmt: skip
_FACTS = ("session_id", "trajectory_id", "schema_version", "continued_trajectory_ref", "notes")


def atif_transcripts(file: BinaryIO, label: str, ignore: Collection[str] = ()) -> Iterator[Transcript]:
    """The trajectories of a file, one object or one a line, each with those of its subagents after it.

    Raises InputError: the file is no JSON.
    """
    for number, value in _documents(file, label):
        where = f"line {number}"
        if isinstance(value, UnreadableError):
            yield unreadable(where, value)
        else:
            yield from _trajectories(value, where, "", ignore)


def _documents(file: BinaryIO, label: str) -> Iterable[tuple[int, Any]]:
    is_lines = file.readline(LARGEST).rstrip().endswith(b"}")
    file.seek(0)
    if is_lines:
        return json_lines(file)
    content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise InputError(f"{label}: a trajectory of more than {LARGEST >> 20} MiB")
    try:
        return [(1, parsed(content))]
    except UnreadableError as error:
        raise InputError(f"{label}: cannot read this ATIF trajectory: {error}") from None


def _trajectories(value: Any, where: str, parent: str, ignore: Collection[str]) -> Iterator[Transcript]:
    fields, version = some_object(value), some_object(value).get("schema_version")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        problem = f"'schema_version' holds {version!r:.80} where ATIF-v1 and a number belong"
        yield unreadable(parent + where, problem)
        return
    names = (fields.get(name) for name in ("trajectory_id", "session_id"))
    key = parent + next((name for name in names if isinstance(name, str) and name), where)

    def read() -> Chat:
        tools = some_object(fields.get("agent")).get("tool_definitions")
        return read_chat(list(_messages(fields.get("steps"))), tools=tools, ignore=ignore, nulls=True)

    yield transcript(key, read, _facts(fields))
    subagents = fields.get("subagent_trajectories")
    for number, inner in enumerate(subagents if isinstance(subagents, list) else (), start=1):
        yield from _trajectories(inner, f"subagent {number}", f"{key}/", ignore)


def _messages(steps: Any) -> Iterator[dict[str, Any]]:
    if not isinstance(steps, list) or not steps:
        raise UnreadableError(f"'steps' holds {steps!r:.80} where a list of steps belongs")
    for number, step in enumerate(steps, start=1):
        if not isinstance(step, Mapping):
            raise UnreadableError(f"step {number} is {type(step).__name__}, not an object")
        yield _message(step, number)
        yield from _results(step, number)


def _message(step: Mapping[str, Any], number: int) -> dict[str, Any]:
    """The step's own message; what is not understood goes along, to be refused by its name."""
    source = step.get("source")
    if not isinstance(source, str) or source not in _ROLES:
        allowed = ", ".join(_ROLES)
        raise UnreadableError(f"step {number}: 'source' holds {source!r:.80}; allowed are {allowed}")
    unknown = {name: value for name, value in step.items() if name not in _UNDERSTOOD + _BESIDE}
    message = {**unknown, "role": _ROLES[source], "content": _content(step.get("message"))}
    if step.get("reasoning_content"):
        message["reasoning_content"] = step["reasoning_content"]
    if calls := _listed(step.get("tool_calls"), number, "tool_calls"):
        message["tool_calls"] = [
            {
                "id": call.get("tool_call_id"),
                "type": "function",
                "function": {"name": call.get("function_name"), "arguments": call.get("arguments")},
            }
            for call in calls
        ]
    return message


def _results(step: Mapping[str, Any], number: int) -> Iterator[dict[str, Any]]:
    observation = step.get("observation")
    for seen in _listed(None if observation is None else [observation], number, "observation"):
        for result in _listed(seen.get("results"), number, "observation.results"):
            call = result.get("source_call_id")
            if call is None and result.get("content") is None:
                continue  # a reference to a subagent's file, which is in the metadata
            yield {"role": "tool", "content": _content(result.get("content")), "tool_call_id": call}


def _content(value: Any) -> Any:
    return "" if value is None else value


def _listed(values: Any, number: int, name: str) -> list[Mapping[str, Any]]:
    found = list(objects(values))
    if values is not None and not (isinstance(values, list) and len(found) == len(values)):
        raise UnreadableError(f"step {number}: {name!r} holds {values!r:.80} where a list of objects belongs")
    return found


def _facts(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What is known beside the messages; a compacted context, copied steps and other files are named."""
    agent, steps = some_object(fields.get("agent")), list(objects(fields.get("steps")))
    results = (one for step in steps for one in objects(some_object(step.get("observation")).get("results")))
    models = [agent.get("model_name"), *(step.get("model_name") for step in steps)]
    return {
        **{name: fields.get(name) for name in _FACTS},
        "agent": agent.get("name"),
        "agent_version": agent.get("version"),
        "models": list(dict.fromkeys(name for name in models if isinstance(name, str))),
        "compacted": any("context_management" in some_object(step.get("extra")) for step in steps) or None,
        "copied_steps": sum(step.get("is_copied_context") is True for step in steps) or None,
        "subagent_refs": [ref for one in results for ref in objects(one.get("subagent_trajectory_ref"))],
    }
