"""Rows of files that hold a story's messages: written by hand in each shape, as its own tools write them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from nla_ray.config.reading.corpus import Corpus
from tests.corpus.agents.master import Act, Story, Turn

Row = dict[str, Any]
PIXEL = "data:image/png;base64,iVBORw0KGgo="


def compact(value: object) -> str:
    """JSON as models write it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def call_id(act: Act) -> str:
    """The name of a call that its result repeats."""
    return f"call{act.number:05}"


def jsonl(make: Callable[[Story], Row], **columns: Any) -> Callable[[Path, Sequence[Story]], Corpus]:
    """A writer of one object a line."""

    def write(folder: Path, stories: Sequence[Story]) -> Corpus:
        path = folder / "rows.jsonl"
        path.write_text("".join(json.dumps(make(one), ensure_ascii=False) + "\n" for one in stories), "utf-8")
        return Corpus(paths=(str(path),), id=("name",), **{"messages": "messages", **columns})

    return write


def parquet(make: Callable[[Story], Row]) -> Callable[[Path, Sequence[Story]], Corpus]:
    """A writer of one table, in which Arrow gives every row the fields of all others."""

    def write(folder: Path, stories: Sequence[Story]) -> Corpus:
        path = folder / "rows.parquet"
        pq.write_table(pa.Table.from_pylist([make(one) for one in stories]), path, row_group_size=3)
        return Corpus(paths=(str(path),), id=("name",), messages="messages")

    return write


def wrapped(tools: Sequence[Row]) -> list[Row]:
    """Tools as OpenAI's chat takes them."""
    return [{"type": "function", "function": tool} for tool in tools]


def openai(story: Story) -> Row:
    """Messages of chat completions; the system prompt is the first."""
    first = [{"role": "system", "content": story.rules}] if story.rules else []
    return {
        "name": story.name,
        "messages": [*first, *map(_openai_message, story.turns)],
        "tools": wrapped(story.tools),
    }


def _openai_message(turn: Turn) -> Row:
    if turn.answers:
        known = {"tool_call_id": call_id(turn.answers), "name": turn.answers.name}
        return {"role": "tool", "content": _openai_content(turn), **known}
    if turn.who == "user":
        return {"role": "user", "content": _openai_content(turn)}
    message: Row = {"role": "assistant", "content": turn.text or None, "refusal": None}
    if turn.thought:
        message["reasoning_content"] = turn.thought
    if turn.sealed:
        message["reasoning_details"] = [{"type": "reasoning.encrypted", "data": "c2VhbGVk"}]
    if turn.acts:
        message["tool_calls"] = [
            {
                "id": call_id(act),
                "type": "function",
                "function": {"name": act.name, "arguments": compact(act.arguments)},
            }
            for act in turn.acts
        ]
    return message


def _openai_content(turn: Turn) -> Any:
    if None not in turn.parts:
        return turn.text
    image = {"type": "image_url", "image_url": {"url": PIXEL}}
    return [image if part is None else {"type": "text", "text": part} for part in turn.parts]


def json_text(story: Story) -> Row:
    """Messages and tools as JSON text."""
    row = openai(story)
    return {name: value if name == "name" else json.dumps(value) for name, value in row.items()}


def lists(story: Story) -> Row:
    """A list for each field instead of a list of messages."""
    row = openai(story)
    fields = ("role", "content", "reasoning_content", "tool_calls", "tool_call_id", "name")
    return {**row, "messages": {name: [one.get(name) for one in row["messages"]] for name in fields}}


def anthropic(story: Story) -> Row:
    """Blocks; the system prompt is apart, and a tool's results lie in a user's turn."""
    messages: list[Row] = []
    for turn in story.turns:
        role = "assistant" if turn.who == "agent" else "user"
        if turn.answers and messages[-1].get("content", [{}])[0].get("type") == "tool_result":
            messages[-1]["content"] += blocks(turn)
        else:
            messages.append({"role": role, "content": blocks(turn)})
    tools = [{**_without(tool, "parameters"), "input_schema": tool["parameters"]} for tool in story.tools]
    return {"name": story.name, "system": story.rules or None, "messages": messages, "tools": tools}


def blocks(turn: Turn) -> list[Row]:
    """A turn in Anthropic's blocks."""
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
    said = [image if part is None else {"type": "text", "text": part} for part in turn.parts]
    if turn.answers:
        answer = {"type": "tool_result", "tool_use_id": call_id(turn.answers), "content": said}
        return [{**answer, "is_error": turn.failed}]
    thought = [{"type": "thinking", "thinking": turn.thought, "signature": "sig"}] if turn.thought else []
    sealed = [{"type": "redacted_thinking", "data": "c2VhbGVk"}] if turn.sealed else []
    acts = [
        {"type": "tool_use", "id": call_id(act), "name": act.name, "input": act.arguments}
        for act in turn.acts
    ]
    return [*thought, *sealed, *said, *acts]


def sharegpt(story: Story) -> Row:
    """From and value; calls are a turn of their own, without ids."""
    names = {"user": "human", "agent": "gpt", "result": "observation"}
    turns = [{"from": "system", "value": story.rules}] if story.rules else []
    for turn in story.turns:
        calls = [{"name": act.name, "arguments": act.arguments} for act in turn.acts]
        value = json.dumps(calls[0] if len(calls) == 1 else calls) if calls else turn.text
        turns.append({"from": "function_call" if calls else names[turn.who], "value": value})
    return {"name": story.name, "conversations": turns, "tools": json.dumps(list(story.tools))}


def responses(story: Story) -> Row:
    """Items; an answer's reasoning, text and calls are items of their own."""
    items = [item for turn in story.turns for item in _items(turn)]
    tools = [{"type": "function", **tool, "strict": True} for tool in story.tools]
    return {"name": story.name, "instructions": story.rules or None, "input": items, "tools": tools}


def _items(turn: Turn) -> Iterator[Row]:
    if turn.answers:
        output = _response_parts(turn, "input_text") if None in turn.parts else turn.text
        yield {"type": "function_call_output", "call_id": call_id(turn.answers), "output": output}
        return
    if turn.who == "user":
        yield {"type": "message", "role": "user", "content": _response_parts(turn, "input_text")}
        return
    if turn.thought or turn.sealed:
        content = [{"type": "reasoning_text", "text": turn.thought}] if turn.thought else None
        yield {"type": "reasoning", "id": "rs", "summary": [], "content": content, "encrypted_content": "x"}
    if turn.text:
        content = _response_parts(turn, "output_text")
        yield {"type": "message", "role": "assistant", "status": "completed", "content": content}
    for act in turn.acts:
        call = {"name": act.name, "arguments": compact(act.arguments), "call_id": call_id(act)}
        yield {"type": "function_call", "id": "fc", "status": "completed", **call}


def _response_parts(turn: Turn, kind: str) -> list[Row]:
    image = {"type": "input_image", "image_url": PIXEL, "detail": "auto"}
    return [image if part is None else {"type": kind, "text": part} for part in turn.parts]


def _without(row: Row, name: str) -> Row:
    return {key: value for key, value in row.items() if key != name}
