"""Random chats through all templates: transformers' own text, and labels that another way finds as well.

The other way: one piece is exchanged for a mark that shares no character with it; what differs between the
two texts is the piece.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import takewhile
from typing import Any

import pytest

from nla_ray.corpus.chats.model import Call, Chat, Message
from nla_ray.corpus.rendering.model import Rendered, RenderError
from nla_ray.corpus.rendering.render import render
from tests.corpus.rendering.parts import FAMILIES, NOON, TOOL, tokenizer_with

CHATS = 30
MARK = "ĦĦ"
WORDS = (
    "user", "assistant", "end", "tides", "\n\n", " ", "{", '"x": 1', "\\", "'", "🐟", "naïve", "<|im_end|>",
    "\n<|im_start|>assistant\n", "</s>", "[INST]", "<b>", "&", "7", "None", "tide", "\t", "<|sep|>", "\u3000",
)  # fmt: skip
LEAVES = (1, -2.5, True, False, None, "", "user", 'a "b"\n', [], {}, ["x", {"y": 0}], 10**20)


@pytest.mark.parametrize("family", FAMILIES)
def test_regions_are_what_changes_with_the_piece(family: str) -> None:
    taken = 0
    for seed in range(CHATS):
        talk = any_chat(random.Random(seed))
        try:
            found = rendered(family, talk)
        except RenderError as error:
            if "refuses it: TemplateError" in str(error):
                continue
            raise
        taken += 1
        compare(found, *by_exchange(family, talk, found))
        if family != "gptoss":  # transformers gives it today's date
            assert found.text == plainly(family, talk, found)
    assert taken > CHATS // 10


def rendered(family: str, talk: Chat) -> Rendered:
    return render(tokenizer_with(family), talk, now=NOON)


def compare(found: Rendered, owners: dict[int, tuple[int, str]], lost: set[str]) -> None:
    """A region holds all that changes, and beside it only whitespace, escaped or not."""
    mine = {at: (one.message, one.label) for one in found.regions for at in range(one.start, one.end)}
    assert {at: mine.get(at) for at in owners} == owners
    assert lost == set(found.dropped) & {"message", "thinking", "tool_result"}
    others = {at for at in mine.keys() - owners.keys() if mine[at][1] != "tool_call"}
    assert all(found.text[at].isspace() or found.text[at] in r"\nt\u3000" for at in others)


def by_exchange(family: str, talk: Chat, found: Rendered) -> tuple[dict[int, tuple[int, str]], set[str]]:
    """Whose each character is that changes with a content or a thinking; the kinds of those without any."""
    owners, lost = {}, set()
    for number, label, other in exchanged(talk):
        start, end = difference(found.text, rendered(family, other).text)
        owners |= dict.fromkeys(range(start, end), (number, label))
        if start == end:
            lost.add(label if label in ("thinking", "tool_result") else "message")
    return owners, lost


def exchanged(talk: Chat) -> Iterator[tuple[int, str, Chat]]:
    """Each content and thinking, in turn, with a mark in the place of all but the whitespace at its ends."""
    for number, one in enumerate(talk.messages):
        labels = {"content": "tool_result" if one.role == "tool" else one.role, "thinking": "thinking"}
        for field, label in labels.items():
            value = getattr(one, field)
            if core := value.strip():
                other = replace(one, **{field: value.replace(core, MARK)})
                messages = (*talk.messages[:number], other, *talk.messages[number + 1 :])
                yield number, label, replace(talk, messages=messages)


def difference(one: str, other: str) -> tuple[int, int]:
    """The characters of the first that the second does not share, between common start and common end."""
    start = common(one, other)
    return start, len(one) - common(one[start:][::-1], other[start:][::-1])


def common(one: str, other: str) -> int:
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))))


def plainly(family: str, talk: Chat, found: Rendered) -> Any:
    """The text that transformers makes of the messages as its documentation writes them."""
    messages: list[dict[str, Any]] = []
    for one in talk.messages:
        messages.append({"role": one.role, "content": one.content, "name": one.name})
        messages[-1] |= {"reasoning_content": one.thinking} if one.thinking else {}
        calls = [{"name": call.name, "arguments": call.arguments} for call in one.calls]
        if found.arguments == "text":
            calls = [
                {**call, "arguments": json.dumps(call["arguments"], ensure_ascii=False)} for call in calls
            ]
        functions = [{"type": "function", "function": call} for call in calls]
        messages[-1] |= {"tool_calls": functions} if calls else {}
    tokenizer = tokenizer_with(family)
    return tokenizer.apply_chat_template(messages, tools=[*talk.tools] or None, tokenize=False)


def any_chat(dice: random.Random) -> Chat:
    roles = ["system"] * dice.randint(0, 1)
    for _ in range(dice.randint(1, 4)):
        answers = [["assistant"], ["assistant"], ["assistant", "tool", "assistant"]]
        roles += ["user", *dice.choice(answers)]
    pairs = zip(roles, [*roles[1:], ""], strict=True)
    messages = [any_message(dice, role, following == "tool") for role, following in pairs]
    return Chat(tuple(messages), dice.choice([(), (TOOL,)]))


def any_message(dice: random.Random, role: str, calls: bool) -> Message:
    content = dice.choice(["", any_text(dice), any_text(dice)])
    if role != "assistant":
        return Message(role, content, name="tide" if role == "tool" else None)
    made = [
        Call("tide", {any_text(dice): dice.choice(LEAVES) for _ in range(dice.randint(0, 3))})
        for _ in range(dice.randint(1, 2) if calls else 0)
    ]
    return Message(role, content, dice.choice(["", any_text(dice)]), tuple(made))


def any_text(dice: random.Random) -> str:
    return "".join(dice.choices(WORDS, k=dice.randint(1, 6)))
