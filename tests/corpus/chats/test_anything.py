"""Whatever a row holds, a chat or a problem in words comes out."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from nla_ray.corpus.chats.model import Chat, ChatError
from nla_ray.corpus.chats.read import read_chat

NAMES = (
    "role", "content", "from", "value", "type", "text", "tool_calls", "function", "function_call",
    "name", "arguments", "id", "call_id", "tool_call_id", "tool_use_id", "input", "output", "thinking",
    "reasoning", "reasoning_content", "reasoning_details", "summary", "signature", "redacted",
    "refusal", "error", "message", "messages", "conversation", "tools", "system", "parameters",
    "input_schema", "source", "audio", "data", "x\ud800", "a b", "",
)  # fmt: skip
WORDS = (
    "user", "assistant", "system", "tool", "human", "gpt", "function_call", "text", "thinking",
    "reasoning", "tool_use", "tool_result", "redacted_thinking", "image", "message", "function",
    "function_call_output", "input_text", "reasoning_text", "", "[]", "{", "{}", "null", "['a']",
    '[{"role": "user", "content": "x"}]', "\ud83d", "NaN",
)  # fmt: skip
VALID: list[Any] = [
    {"role": "user", "content": "x"},
    {"role": "assistant", "content": [{"type": "thinking", "thinking": "t"}, {"type": "text", "text": "x"}]},
    {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {"a": [1]}}}]},
    {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "c", "content": [{"type": "image"}]}],
    },
    {"role": "tool", "content": "", "error": {"type": "e", "message": "m"}, "function": "f"},
    {"from": "function_call", "value": '{"name": "f", "arguments": {}}'},
    {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "t"}]},
    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    {"role": "assistant", "reasoning": "a", "reasoning_details": [{"type": "reasoning.text", "text": "a"}]},
    {"type": "function", "function": {"name": "f", "parameters": {}}},
]


def invented(rng: random.Random, depth: int) -> Any:
    """A value of JSON, from words that mean something somewhere."""
    kind = rng.randrange(9 if depth else 6)
    if kind < 3:
        return rng.choice(WORDS)
    if kind < 6:
        return rng.choice((None, True, False, 0, -1, 2.5, float("nan"), 10**40, b"x"))
    if kind == 6:
        return [invented(rng, depth - 1) for _ in range(rng.randrange(4))]
    return {rng.choice(NAMES): invented(rng, depth - 1) for _ in range(rng.randrange(5))}


def mutated(rng: random.Random, value: Any) -> Any:
    """The value, here and there with something else in it."""
    if rng.random() < 0.08:
        return invented(rng, 3)
    if isinstance(value, list):
        return [mutated(rng, one) for one in value for _ in range(rng.choice((1, 1, 1, 1, 0, 2)))]
    if isinstance(value, dict):
        changed = {name: mutated(rng, one) for name, one in value.items() if rng.random() < 0.96}
        return changed | ({rng.choice(NAMES): invented(rng, 2)} if rng.random() < 0.1 else {})
    return value


def a_row(rng: random.Random) -> Any:
    chat = (
        [mutated(rng, rng.choice(VALID)) for _ in range(rng.randrange(1, 5))]
        if rng.random() < 0.9
        else invented(rng, 5)
    )
    dress = rng.randrange(8)
    if dress == 0:
        return json.dumps(chat, default=str)
    if dress == 1:
        return {rng.choice(("messages", "conversation")): chat, rng.choice(NAMES): invented(rng, 3)}
    if dress == 2:
        return {name: [invented(rng, 2), invented(rng, 2)] for name in ("role", "content", rng.choice(NAMES))}
    return chat


def chat_or_words(row: Any, **beside: Any) -> Chat | str:
    try:
        return read_chat(row, **beside)
    except ChatError as problem:
        return str(problem)


@pytest.mark.parametrize("seed", range(8))
def test_a_chat_or_words(seed: int) -> None:
    rng = random.Random(seed)
    read = 0
    for _ in range(400):
        tools = [mutated(rng, VALID[-1]), VALID[-1]] if rng.random() < 0.2 else None
        system = invented(rng, 3) if rng.random() < 0.1 else None
        found = chat_or_words(a_row(rng), tools=tools, system=system, nulls=rng.random() < 0.5)
        if isinstance(found, str):
            assert found and "\n" not in found and found.encode()
            continue
        read += 1
        assert found.messages and json.loads(found.canonical(), parse_constant=pytest.fail)
        "".join(message.content + message.thinking for message in found.messages).encode()
    assert 20 < read < 390
