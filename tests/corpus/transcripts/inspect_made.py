"""An Inspect log of one booking with a grader, in each shape that Inspect writes."""

from __future__ import annotations

from typing import Any

from tests.corpus.transcripts.made import zipped

HEADER = {"version": 2, "status": "success", "eval": {"model": "m/target", "task": "harbour", "run_id": "r"}}
LONG = "the ledger of every berth " * 9
HASH = "0" * 31 + "a"
TOOL = {
    "name": "book",
    "description": f"attachment://{HASH}",
    "parameters": {"type": "object", "properties": {}},
}


def messages() -> list[dict[str, Any]]:
    call = {"id": "c1", "function": "book", "arguments": {"berth": 4, "for": None}, "type": "function"}
    thought = {"type": "reasoning", "reasoning": "check the tide", "redacted": False}
    return [
        {"id": "s", "role": "system", "content": "You are a clerk."},
        {"id": "u", "role": "user", "content": "Book a boat", "source": "input"},
        {
            "id": "a1",
            "role": "assistant",
            "content": [thought, {"type": "text", "text": "One moment."}],
            "tool_calls": [call],
            "source": "generate",
            "model": "m/target",
        },
        {"id": "t", "role": "tool", "content": LONG, "tool_call_id": "c1", "function": "book"},
        {"id": "a2", "role": "assistant", "content": "Booked.", "source": "generate", "model": "m/target"},
    ]


def events() -> list[dict[str, Any]]:
    def model(name: str, answer: str, *tools: object) -> dict[str, Any]:
        output = {"choices": [{"message": {"id": answer, "role": "assistant", "content": ""}}]}
        return {
            "event": "model",
            "model": name,
            "input_refs": [[0, 2]],
            "tools": list(tools),
            "output": output,
        }

    return [
        {"event": "span_begin"},
        model("m/target", "a1", TOOL),
        model("m/target", "a2", TOOL),
        model("m/grader", "g"),
    ]


def sample(**changes: Any) -> dict[str, Any]:
    """A sample as a log holds it in one object."""
    plain = {
        "id": "t/1",
        "epoch": 2,
        "input": "Book a boat",
        "target": "4",
        "messages": messages(),
        "output": {},
        "scores": {"graded": {"value": "C", "explanation": "fine"}, "length": {"value": float("nan")}},
        "metadata": {"kind": "easy"},
        "events": events(),
        "events_data": {"messages": [], "calls": []},
        "attachments": {HASH: LONG},
        "limit": {"type": "token", "limit": 5},
    }
    return plain | changes


def plain_log(*samples: object, header: object = HEADER) -> bytes:
    """An `.eval` file with each sample in one member."""
    named = [
        (f"samples/{one['id']}_epoch_{one['epoch']}.json", one) for one in samples if isinstance(one, dict)
    ]
    return zipped(
        [("_journal/start.json", {"version": 2, "eval": HEADER["eval"]}), *named, ("header.json", header)]
    )


def chunked_log(one: dict[str, Any]) -> bytes:
    """The same sample in chunks of two items; ranges give the order of its messages."""
    apart = ("messages", "events", "attachments", "events_data", "metadata")
    *first, last = one["messages"]
    listed: dict[str, list[Any]] = {"messages": [last, *first], "events": _renamed(one["events"])}
    listed["attachments"] = list(one["attachments"].values())
    shell = {name: value for name, value in one.items() if name not in apart}
    shell["message_refs"] = [[1, len(one["messages"])], [0, 1]]
    folder = f"samples/{one['id']}_epoch_{one['epoch']}"
    chunks = [
        (f"{folder}/{name}/{start}.json", items[start : start + 2])
        for name, items in listed.items()
        for start in range(0, len(items), 2)
    ]
    return zipped(
        [
            (f"{folder}/sample.json", shell),
            (f"{folder}/metadata.json", one["metadata"]),
            (f"{folder}/events/stats.json", {"chunks": []}),
            *chunks,
            ("header.json", HEADER),
        ]
    )


def _renamed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _renamed(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_renamed(inner) for inner in value]
    return "attachment://0" if value == f"attachment://{HASH}" else value
