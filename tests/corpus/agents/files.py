"""Files of whole transcripts, written by hand: Inspect logs, Scout tables, ATIF, Claude Code sessions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from nla_ray.config.reading.chats import Transcripts
from nla_ray.config.reading.corpus import Corpus
from tests.corpus.agents.master import Story, Turn
from tests.corpus.agents.rows import PIXEL, Row, blocks, call_id, wrapped
from tests.corpus.transcripts.made import lines, zipped

HASH = f"{7:032x}"
_HEADER = {"version": 2, "status": "success", "eval": {"model": "lab/owl", "task": "jars", "run_id": "r9"}}


def _corpus(*paths: Path) -> Corpus:
    return Corpus(paths=tuple(map(str, paths)), transcripts=Transcripts())


def _inspect_messages(story: Story) -> list[Row]:
    said: list[Row] = [{"role": "system", "content": story.rules}] if story.rules else []
    said += [_inspect_message(turn) for turn in story.turns]
    return [{"id": f"m{number}", **one} for number, one in enumerate(said)]


def _inspect_message(turn: Turn) -> Row:
    image = {"type": "image", "image": f"attachment://{HASH}", "detail": "auto"}
    parts = [image if part is None else {"type": "text", "text": part} for part in turn.parts]
    content: Any = parts if None in turn.parts else turn.text
    if turn.answers:
        known = {"role": "tool", "tool_call_id": call_id(turn.answers), "function": turn.answers.name}
        error = {"type": "timeout", "message": turn.text} if turn.failed else None
        return {**known, "content": "" if turn.failed else content, "error": error}
    if turn.who == "user":
        return {"role": "user", "content": content, "source": "input"}
    reasoning = {"type": "reasoning", "reasoning": turn.thought, "redacted": turn.sealed, "signature": None}
    thoughts = [reasoning] if turn.thought or turn.sealed else []
    calls = [
        {"id": call_id(act), "function": act.name, "arguments": act.arguments, "type": "function"}
        for act in turn.acts
    ]
    message = {"role": "assistant", "source": "generate", "model": "lab/owl", "tool_calls": calls or None}
    return {**message, "content": [*thoughts, *parts] if thoughts else content}


def _events(story: Story, messages: Sequence[Row]) -> list[Row]:
    answer = {"choices": [{"message": {"id": messages[-1]["id"], "role": "assistant", "content": ""}}]}
    tools = [{**tool, "parallel": True} for tool in story.tools]
    call = {"event": "model", "model": "lab/owl", "input": [], "tools": tools, "output": answer}
    return [*([{"event": "compaction", "type": "summary"}] if story.earlier else []), call]


def _sample(story: Story) -> Row:
    messages = _inspect_messages(story)
    about = {"id": story.name, "epoch": 1, "input": "jars", "target": "4", "output": {}, "metadata": {}}
    apart = {"messages": messages, "events": _events(story, messages), "attachments": {HASH: PIXEL}}
    return {**about, "scores": {"weighed": {"value": "C"}}, **apart}


def inspect_eval(folder: Path, stories: Sequence[Story]) -> Corpus:
    """A log with each sample in one member."""
    path = folder / "log.eval"
    samples = [(f"samples/{one.name}_epoch_1.json", _sample(one)) for one in stories]
    path.write_bytes(zipped([("_journal/start.json", {"eval": {}}), *samples, ("header.json", _HEADER)]))
    return _corpus(path)


def inspect_chunked(folder: Path, stories: Sequence[Story]) -> Corpus:
    """A log with each sample's messages, events and attachments in chunks of three."""
    path = folder / "chunks.eval"
    path.write_bytes(
        zipped([*(member for one in stories for member in _members(one)), ("header.json", _HEADER)])
    )
    return _corpus(path)


def _members(story: Story) -> Iterable[tuple[str, object]]:
    prefix = f"samples/{story.name}_epoch_1"
    sample = json.loads(json.dumps(_sample(story)).replace(f"attachment://{HASH}", "attachment://0"))
    apart: dict[str, list[Any]] = {"messages": sample.pop("messages"), "events": sample.pop("events")}
    apart["attachments"] = list(sample.pop("attachments").values())
    yield f"{prefix}/sample.json", {**sample, "message_refs": [[0, len(apart["messages"])]]}
    for name, items in apart.items():
        for start in range(0, len(items), 3):
            yield f"{prefix}/{name}/{start}.json", items[start : start + 3]


def inspect_json(folder: Path, stories: Sequence[Story]) -> Corpus:
    """A log that is one object."""
    path = folder / "log.json"
    path.write_text(json.dumps({**_HEADER, "samples": [_sample(one) for one in stories]}), "utf-8")
    return _corpus(path)


def scout(folder: Path, stories: Sequence[Story]) -> Corpus:
    """A table in which messages and events are JSON texts."""
    path = folder / "part.parquet"
    rows = []
    for one in stories:
        messages = _inspect_messages(one)
        texts = {"messages": json.dumps(messages), "events": json.dumps(_events(one, messages))}
        rows.append({"transcript_id": one.name, "model": "lab/owl", "score": "C", **texts})
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=9)
    return _corpus(path)


def atif(folder: Path, stories: Sequence[Story]) -> Corpus:
    """A trajectory a line, with the results in the steps of their calls."""
    path = folder / "steps.jsonl"
    path.write_bytes(lines(*map(_trajectory, stories)))
    return _corpus(path)


def _trajectory(story: Story) -> Row:
    steps: list[Row] = [{"source": "system", "message": story.rules}] if story.rules else []
    for turn in story.turns:
        if turn.answers:
            observation = steps[-1].setdefault("observation", {"results": []})
            observation["results"].append(
                {"source_call_id": call_id(turn.answers), "content": _atif_content(turn)}
            )
        else:
            steps.append(_step(turn))
    if story.earlier:
        steps[-1]["extra"] = {"context_management": {"type": "compaction"}}
    about = {"schema_version": "ATIF-v1.7", "session_id": story.name}
    agent = {"name": "owl", "version": "3", "tool_definitions": wrapped(story.tools)}
    return {**about, "agent": agent, "steps": [{"step_id": at, **one} for at, one in enumerate(steps, 1)]}


def _step(turn: Turn) -> Row:
    step: Row = {"source": turn.who, "message": _atif_content(turn)}
    if turn.thought:
        step["reasoning_content"] = turn.thought
    if turn.acts:
        step["tool_calls"] = [
            {"tool_call_id": call_id(act), "function_name": act.name, "arguments": act.arguments}
            for act in turn.acts
        ]
    return step


def _atif_content(turn: Turn) -> Any:
    image = {"type": "image", "source": {"media_type": "image/png", "path": "images/1.png"}}
    parts = [image if part is None else {"type": "text", "text": part} for part in turn.parts]
    return parts if None in turn.parts else turn.text


def claude_code(folder: Path, stories: Sequence[Story]) -> Corpus:
    """A session file for each story, a block of a reply a line."""
    for one in stories:
        (folder / f"{one.name}.jsonl").write_bytes(lines(*_Session(one.name).lines(one)))
    return _corpus(folder)


class _Session:
    """Hangs line on line; a result hangs on the line of its call."""

    def __init__(self, name: str) -> None:
        self._name, self._numbers = name, count(1)
        self._rows: list[Row] = []
        self._last: str | None = None
        self._calls: dict[str, str] = {}

    def lines(self, story: Story) -> list[Row]:
        """What was said before the compaction, the boundary, what was said after it."""
        for turn in story.earlier:
            self._add(turn)
        if story.earlier:
            self._hang(None, type="system", subtype="compact_boundary", compactMetadata={"trigger": "auto"})
        for at, turn in enumerate(story.turns):
            self._add(turn, **({"isCompactSummary": True} if story.earlier and not at else {}))
        return self._rows

    def _add(self, turn: Turn, **more: object) -> None:
        if turn.who != "agent":
            parent = self._calls[call_id(turn.answers)] if turn.answers else self._last
            content = blocks(turn) if turn.answers or None in turn.parts else turn.text
            self._hang(parent, type="user", message={"role": "user", "content": content}, **more)
            return
        about = {"id": f"msg{next(self._numbers)}", "type": "message", "role": "assistant", "model": "owl"}
        for block in blocks(turn):
            self._hang(self._last, type="assistant", message={**about, "content": [block], "usage": {}})
            if block["type"] == "tool_use":
                self._calls[block["id"]] = str(self._last)

    def _hang(self, parent: str | None, **fields: object) -> None:
        self._last = f"u{next(self._numbers)}"
        about = {"parentUuid": parent, "isSidechain": False, "sessionId": self._name, "cwd": "/w"}
        self._rows.append({**about, "uuid": self._last, **fields})
