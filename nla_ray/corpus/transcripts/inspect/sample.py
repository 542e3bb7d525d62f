"""An Inspect sample as a transcript: its final messages, the tools, and what its events say of the input."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nla_ray.corpus.chats.model import Chat
from nla_ray.corpus.chats.read import read_chat
from nla_ray.corpus.transcripts.model import Transcript, transcript, unreadable
from nla_ray.corpus.transcripts.values import UnreadableError, objects, some_object

_REFERENCE = re.compile(r"(?:attachment|tc)://([0-9a-f]{32}|\d{1,12})", re.ASCII)
_FACTS = ("target", "metadata", "uuid", "started_at", "total_time")


@dataclass(frozen=True)
class Sample:
    """A sample in whichever shape it was stored; `attachment` gives the content behind a reference's name."""

    fields: Mapping[str, Any]
    messages: Any
    events: Iterable[Any]
    attachment: Callable[[str], Any]


@dataclass(frozen=True)
class Heard:
    """What the events of a sample say beside its messages."""

    tools: Any = None
    models: tuple[str, ...] = ()
    compacted: bool = False


def plain_sample(fields: Mapping[str, Any]) -> Sample:
    """A sample that is one JSON object; in the oldest logs its events lie in `transcript`."""
    old = some_object(fields.get("transcript"))
    attachments = some_object(fields.get("attachments") or old.get("content"))
    events = fields.get("events") or old.get("events")
    return Sample(fields, fields.get("messages"), events if isinstance(events, list) else (), attachments.get)


def sample_transcript(
    key: str, sample: Sample, run: Mapping[str, Any], ignore: Collection[str] = ()
) -> Transcript:
    """The final messages of the sample with the tools of the call that wrote the last of them.

    Where the input was compacted on the way, these are not what the target saw: `compacted` in the metadata.
    """
    facts = {**run, **_facts(sample.fields)}
    try:
        heard = listen(sample.events, sample.messages, run.get("model"))
    except UnreadableError as error:
        return unreadable(key, error, facts)

    def read() -> Chat:
        messages = resolved(sample.messages, sample.attachment)
        tools = functions(resolved(heard.tools, sample.attachment))
        return read_chat(messages, tools=tools, ignore=ignore, nulls=True)

    return transcript(key, read, {**facts, **heard_facts(heard)})


def listen(events: Iterable[Any], messages: Any, model: Any) -> Heard:
    """The tools of the last call whose answer is one of the messages.

    A grader's call comes later, and its answer is none of them. Without ids, the last call to `model` counts.
    """
    ours = {name for message in objects(messages) if isinstance(name := message.get("id"), str)}
    tools, best, models, compacted = None, 0, dict[str, None](), False
    for event in map(some_object, events):
        compacted |= event.get("event") == "compaction"
        if event.get("event") != "model":
            continue
        models[f"{event.get('model')}"] = None
        rank = 1 + (event.get("model") == model) + 2 * bool(_answers(event) & ours)
        if rank >= best:
            tools, best = event.get("tools"), rank
    return Heard(tools, tuple(models), compacted)


def heard_facts(heard: Heard) -> dict[str, Any]:
    """What the events say, as metadata."""
    return {"models": list(heard.models), "compacted": heard.compacted or None}


def functions(tools: Any) -> Any:
    """Inspect's tool descriptions in the usual form."""
    if not isinstance(tools, list):
        return None
    fields = ("name", "description", "parameters")
    return [
        {"type": "function", "function": {name: tool[name] for name in fields if name in tool}}
        if isinstance(tool, Mapping)
        else tool
        for tool in tools
    ] or None


def resolved(value: Any, attachment: Callable[[str], Any]) -> Any:
    """The value with the contents in the place of the references to them. Raises UnreadableError."""
    if isinstance(value, str) and (match := _REFERENCE.fullmatch(value)):
        content = attachment(match[1])
        if not isinstance(content, str):
            raise UnreadableError(f"the log refers to {value}, which it does not hold")
        return content
    if isinstance(value, Mapping):
        return {name: resolved(inner, attachment) for name, inner in value.items()}
    if isinstance(value, list):
        return [resolved(inner, attachment) for inner in value]
    return value


def _facts(fields: Mapping[str, Any]) -> dict[str, Any]:
    scores = some_object(fields.get("scores")) or {"score": fields.get("score")}
    values = {name: some_object(score).get("value") for name, score in scores.items() if score is not None}
    error, limit = fields.get("error"), fields.get("limit")
    return {
        "sample": fields.get("id"),
        "epoch": fields.get("epoch"),
        "scores": values,
        "error": some_object(error).get("message", error),
        "limit": some_object(limit).get("type", limit),
        **{name: fields.get(name) for name in _FACTS},
    }


def _answers(event: Mapping[str, Any]) -> set[Any]:
    choices = objects(some_object(event.get("output")).get("choices"))
    found = (some_object(choice.get("message")).get("id") for choice in choices)
    return {name for name in found if isinstance(name, str)}
