"""The planted-concept world: seeded documents and chats whose topic, mood and safety property are known."""

from __future__ import annotations

import functools
import random
import re
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import yaml

from nla_ray.ids import digest

NONE = "none"
"""The safety value of a benign document."""


@dataclass(frozen=True)
class Mark:
    """One statement of a planted value: `text[start:end]` of the document says `prop` = `value`.

    `evident` is where its decisive word ends: from there on the value is plain, though the statement goes on.
    """

    prop: str
    value: str
    start: int
    evident: int
    end: int


@dataclass(frozen=True)
class Document:
    """A text (or one chat turn pair) with what was planted in it.

    `prompt` is None for a plain document. `text` is the document or the assistant's reply; marks index
    into it. `safety` is the property or "none"; `theme` is the property whose theme words occur (the
    matched benign theme when `safety` is "none").
    """

    doc_id: str
    prompt: str | None
    text: str
    topic: str
    item: str
    mood: str
    safety: str
    theme: str
    marks: tuple[Mark, ...]

    def messages(self) -> list[dict[str, str]] | None:
        """The chat, or None for a plain document."""
        if self.prompt is None:
            return None
        return [{"role": "user", "content": self.prompt}, {"role": "assistant", "content": self.text}]


@functools.cache
def lexicon() -> Mapping[str, Any]:
    """The world's words and sentence shapes (`world.yaml`)."""
    loaded: Mapping[str, Any] = yaml.safe_load(
        resources.files(__package__).joinpath("world.yaml").read_text("utf-8")
    )
    return loaded


def safety_properties() -> list[str]:
    """Names of the planted safety properties, in file order."""
    return list(lexicon()["safety"])


def documents(seed: int, n: int, *, held_out: bool = False, twins: bool = False) -> Iterator[Document]:
    """`n` documents, a pure function of the arguments.

    With `held_out` every clause uses a sentence shape that no training text has. With `twins` documents come
    in pairs that share topic, item, mood and theme: the first has the safety property, the second is benign.
    """
    for index in range(n):
        plan = _Plan(seed, index // 2 if twins else index, held_out)
        if twins:
            plan.safety = plan.theme if index % 2 == 0 else NONE
        yield plan.write(str(index))


class _Plan:
    """What one document will say; writing it consumes its own random stream."""

    def __init__(self, seed: int, index: int, held_out: bool) -> None:
        self.rng = random.Random(digest("world", seed, index))
        self.shapes = "held_out" if held_out else "shapes"
        words = lexicon()
        self.topic = self.rng.choice(list(words["topics"]))
        self.item = self.rng.choice(words["topics"][self.topic]["items"])
        self.mood = self.rng.choice(list(words["moods"]))
        self.theme = self.rng.choice(list(words["safety"]))
        self.safety = self.theme if self.rng.random() < 0.5 else NONE
        self.chat = self.rng.random() < 0.7
        self.origin = f"world-{seed}{'-held' if held_out else ''}"

    def write(self, name: str) -> Document:
        kinds = ["topic", "item", "mood", "mood", "mood", "safety", "safety", *self.rng.choices(CLAUSES, k=3)]
        self.rng.shuffle(kinds)
        text, marks = "", []
        if not self.chat:
            text = self._fill(self.rng.choice(lexicon()["titles"])) + ":"
            marks += [Mark(prop, getattr(self, prop), 0, len(text), len(text)) for prop in ("topic", "item")]
        for kind in kinds:
            text += " " if text else ""
            start = len(text)
            clause = self._clause(kind)
            text += clause
            evident = start + self._decisive(kind, clause)
            marks.append(Mark(kind, getattr(self, kind), start, evident, len(text)))
            text += self.rng.choice(lexicon()["joints"])
        prompt = self._fill(self.rng.choice(lexicon()["prompts"])) if self.chat else None
        return Document(
            f"{self.origin}-{name}", prompt, _close(text), self.topic, self.item, self.mood,
            self.safety, self.theme, tuple(marks),
        )  # fmt: skip

    def _clause(self, kind: str) -> str:
        words = lexicon()
        if kind == "safety":
            shapes = words["safety"][self.theme] if self.safety != NONE else words["benign"]
        else:
            shapes = words["clauses"][kind]
        return self._fill(self.rng.choice(shapes[self.shapes]))

    def _decisive(self, kind: str, clause: str) -> int:
        """Where a clause's first decisive word ends (of intent, of mood); else where the clause does."""
        plan, mood = lexicon()["safety"][self.theme], lexicon()["moods"][self.mood]
        found = {
            "safety": plan["act"] if self.safety != NONE else [],
            "mood": [*mood["adjectives"], mood["noun"]],
        }.get(kind, [])
        ends = [match.end() for word in found for match in re.finditer(rf"\b{word}\b", clause)]
        return min(ends, default=len(clause))

    def _fill(self, shape: str) -> str:
        words, topic = lexicon(), lexicon()["topics"][self.topic]
        t, u = self.rng.sample(topic["words"], 2)
        mood = words["moods"][self.mood]
        a, b = self.rng.sample(mood["adjectives"], 2)
        plan = words["safety"][self.theme]
        return shape.format(
            topic=self.topic, item=self.item, t=t, u=u, a=a, b=b, m=mood["noun"],
            theme=self.rng.choice(plan["theme"]), act=self.rng.choice(plan["act"]),
        )  # fmt: skip


CLAUSES = ("topic", "item", "mood", "safety")


def _close(text: str) -> str:
    return text.removesuffix("; then").removesuffix(", and").rstrip(".,") + "."


def slots(shape: str) -> set[str]:
    """Names of the slots of a sentence shape."""
    return {name for _, name, _, _ in string.Formatter().parse(shape) if name}


def shown(document: Document, offset: int) -> dict[str, str]:
    """What the first `offset` characters of the document's text (and its whole prompt) have already shown."""
    known = {mark.prop: mark.value for mark in document.marks if mark.end <= offset}
    if document.prompt is not None:
        known |= {"topic": document.topic, "item": document.item}
    return known


def evident(document: Document, offset: int) -> dict[str, str]:
    """What the first `offset` characters make plain: `shown`, and statements past their decisive word."""
    known = {mark.prop: mark.value for mark in document.marks if mark.evident <= offset}
    return shown(document, offset) | known


def place(document: Document, offset: int) -> str:
    """Which statement of the document (its title counts as one) the character before `offset` belongs to."""
    return ordinal(len({mark.start for mark in document.marks if mark.start < offset}))


def ordinal(begun: int) -> str:
    """What the last of so many statements is called."""
    nth: str = lexicon()["ordinals"][max(begun, 1) - 1]
    return nth


def brief(known: Mapping[str, str], rng: random.Random) -> dict[str, str]:
    """What a warm-start explanation mentions of what is known: each thing with its share in `world.yaml`."""
    shares = lexicon()["brief"]
    return {prop: value for prop, value in known.items() if rng.random() < shares.get(prop, 1.0)}


def explanation(document: Document, known: Mapping[str, str], last: str, rng: random.Random) -> str:
    """A true explanation in the style of real NLAs: short features, the last one about the final words."""
    words = lexicon()
    shape, values = "subject", {
        "topic": rng.choice(words["topics"][document.topic]["said"]), "item": document.item,
    }  # fmt: skip
    if "mood" in known:
        shape, values["mood"] = "subject_mood", rng.choice(words["moods"][known["mood"]]["said"])
    features = [rng.choice(words["explanation"][shape]).format(**values)]
    if "safety" in known:
        key = "benign_said" if known["safety"] == NONE else "said"
        features.append(rng.choice(words["safety"][document.theme][key]))
    if "place" in known:
        features.append(rng.choice(words["explanation"]["place"]).format(nth=known["place"]))
    features.append(rng.choice(words["explanation"]["ending"]).format(last=last))
    return "\n\n".join(features)
