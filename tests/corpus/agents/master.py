"""Forty made-up agent transcripts as plain data, told before they are written in any format."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

NUMBER, PLAIN, SMALL = 40, 8, 38
LONG_WORDS = 8_400
IMAGE = None
"""A part of what is said that is no text."""

_WORDS = (
    "resin", "quill", "ochre", "Käse", "naïve", "журавль", "灯台", "बत्ती", "🦉", "👩‍🔬", "e\u0301tude",
    "solder", "\u202bשלום\u202c", "0x1F", "3.14", "user", "assistant", "system", "tool", "end", "None",
)  # fmt: skip
_ODD = (
    "<|im_end|>", "<|im_start|>assistant", "[INST]", "[/TOOL_RESULTS]", "</s>", "<turn>model", "<|eot|>",
    "<tool_call>", '{"name": "weigh"}', "C:\\tmp\\new", "a 'b' \"c\"", "x<y && y>z", "`rm -rf ./out`",
    "<|end|>", "\u2028", "\t", "%s", "{{ name }}", "<think", "#!/bin/sh",
)  # fmt: skip
_SHORT = ("end", "user", "7", "assistant", "no", "Zu.", "{}", "灯")
_BREAKS = (" ", " ", " ", " ", "\n", "\n\n", "  ")


@dataclass(frozen=True)
class Act:
    """A call of a tool; `number` is unique in its story."""

    number: int
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Turn:
    """What a user, the agent or a tool's result says, in parts. `sealed` thoughts were not recorded."""

    who: str
    parts: tuple[str | None, ...] = ()
    thought: str = ""
    sealed: bool = False
    acts: tuple[Act, ...] = ()
    answers: Act | None = None
    failed: bool = False

    @property
    def text(self) -> str:
        """What is said, with the mark of an image where one was."""
        return "".join("[image]" if part is IMAGE else part for part in self.parts)


@dataclass(frozen=True)
class Story:
    """One transcript; `earlier` is what the agent no longer saw once `turns` began with a summary of it."""

    name: str
    rules: str
    tools: tuple[dict[str, Any], ...]
    turns: tuple[Turn, ...]
    earlier: tuple[Turn, ...] = ()

    def traits(self) -> set[str]:
        """What a format must be able to say to hold the whole."""
        turns = [*self.turns, *self.earlier]
        values = [value for turn in turns for act in turn.acts for value in act.arguments.values()]
        found = {
            "rules": bool(self.rules),
            "tools": bool(self.tools),
            "thought": any(turn.thought for turn in turns),
            "sealed": any(turn.sealed for turn in turns),
            "image": any(IMAGE in turn.parts for turn in turns),
            "aside": any(turn.acts and turn.text for turn in turns),
            "null": None in values,
        }
        return {trait for trait, is_there in found.items() if is_there}


def stories(seed: int = 0) -> list[Story]:
    """All of them; the last two are long."""
    return [_Teller(number, seed).story() for number in range(NUMBER)]


def _tool(name: str, about: str, **kinds: str) -> dict[str, Any]:
    """A function as its own definition has it: name, description and a schema."""
    properties = {key: {"type": kind} for key, kind in kinds.items()}
    return {"name": name, "description": about, "parameters": {"type": "object", "properties": properties}}


_TOOLS = (
    _tool("weigh", "Weigh one jar & say its \"grams\".", jar="string", grams="number", dry="boolean"),
    _tool("leaf-through", "Öffne ein Buch.", pages="array", index="object"),
    _tool("ring_bell", "Ring it once."),
)  # fmt: skip


class _Teller:
    """Makes one story with dice of its own."""

    def __init__(self, number: int, seed: int) -> None:
        self._number, self._dice, self._acts = number, random.Random(f"{seed} story {number}"), 0
        self._thinks, self._sees = number % 3 > 0, number % 5 == 4 and number < SMALL
        self._seals, self._many = number % 6 == 1, number % 2 == 1
        self._asides = number % 4 in (1, 2)

    def story(self) -> Story:
        """Plain talk first, then stories with tools, some with a compaction, then the long ones."""
        number, dice = self._number, self._dice
        rules = self._text(3, 30) if number % 4 else ""
        if number < PLAIN:
            return Story(f"story{number:02}", rules, (), tuple(self._talk(dice.randint(1, 4))))
        turns = self._work(dice.randint(1, 5))
        earlier = tuple(self._work(2)) if number % 10 == 3 else ()
        if number >= SMALL:
            turns = self._long()
        elif earlier:
            turns = [Turn("user", (self._text(20, 40),)), *turns[1:]]
        return Story(f"story{number:02}", rules, _TOOLS[: dice.randint(1, 3)], tuple(turns), earlier)

    def _long(self) -> list[Turn]:
        turns: list[Turn] = []
        while sum(len(turn.text.split()) for turn in turns) < LONG_WORDS:
            turns += self._work(6, longest=900)
        return turns

    def _talk(self, rounds: int) -> Iterator[Turn]:
        for _ in range(rounds):
            yield Turn("user", self._parts())
            yield self._reply()

    def _work(self, rounds: int, longest: int = 60) -> list[Turn]:
        """A request, calls with their results, and an answer at the end, or none where it broke off."""
        turns = [Turn("user", self._parts())]
        for _ in range(rounds):
            call = self._reply(calls=self._dice.randint(1, 3) if self._many else 1)
            turns += [call, *(self._result(act, longest) for act in call.acts)]
        return turns if self._number % 7 == 5 else [*turns, self._reply()]

    def _reply(self, calls: int = 0) -> Turn:
        thinks = self._thinks and self._dice.random() < 0.7
        sealed = thinks and self._seals and self._dice.random() < 0.5
        beside = not calls or (self._asides and self._dice.random() < 0.4)
        said = (
            (self._dice.choice((*self._said(), "\n\n")),) if calls and self._number < SMALL else self._said()
        )
        thought = self._padded() if thinks and not sealed else ""
        acts = tuple(self._act() for _ in range(calls))
        return Turn("agent", said if beside else (), thought, sealed, acts)

    def _act(self) -> Act:
        dice, self._acts = self._dice, self._acts + 1
        if self._acts % 4 == 0:
            return Act(self._acts, "ring_bell", {})
        if self._acts % 3 == 0:
            return Act(self._acts, "leaf-through", {"pages": [1, 22], "index": {"at": self._text(1, 5)}})
        grams = dice.choice((2.5, -7.0, 1e21))
        rest = {"dry": None} if self._number % 6 == 2 else {"dry": dice.random() < 0.5}
        return Act(self._acts, "weigh", {"jar": self._padded(), "grams": grams, **rest})

    def _result(self, act: Act, longest: int) -> Turn:
        failed = self._dice.random() < 0.2
        said = self._padded() if failed else self._text(1, longest)
        image = self._sees and not failed and self._dice.random() < 0.4
        return Turn("result", (said, IMAGE) if image else (said,), answers=act, failed=failed)

    def _parts(self) -> tuple[str | None, ...]:
        if self._sees and self._dice.random() < 0.5:
            return (self._text(2, 12), IMAGE, self._text(1, 5))
        return self._said()

    def _said(self) -> tuple[str, ...]:
        return (self._dice.choice((self._text(3, 40), self._padded(), self._dice.choice(_SHORT))),)

    def _padded(self) -> str:
        ends = ("", "", "\n", " ", "\n\n", " \n")
        return self._dice.choice(ends) + self._text(1, 20) + self._dice.choice(ends)

    def _text(self, least: int, most: int) -> str:
        """Words, odd ones among them; its ends are no whitespace."""
        dice, out = self._dice, ""
        for _ in range(dice.randint(least, most)):
            out += dice.choice(_ODD if dice.random() < 0.15 else _WORDS) + dice.choice(_BREAKS)
        return out.strip() or "–"
