"""Documents as token ids with their truth: what training, probing and measuring read."""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from nla_ray.demo import world

FIRST_POSITION = 10
"""Positions before this one decode to the prior (early positions) and are not used."""
LAST_TOKENS = 4
"""How many of the final tokens a full explanation quotes."""


@dataclass(frozen=True)
class Encoded:
    """A document under the target's tokenizer.

    `ends[i]` is where token i ends in the document's own text (0 for what the template puts before it).
    """

    document: world.Document
    ids: tuple[int, ...]
    ends: tuple[int, ...]
    start: int
    """First token of the document's own text (the reply of a chat)."""
    stop: int
    """One past its last token: what follows is the template's."""

    def candidates(self) -> range:
        """Positions that can be explained: tokens of the own text, past the early ones."""
        return range(max(self.start, FIRST_POSITION), self.stop)

    def known(self, position: int) -> dict[str, str]:
        """What the text up to and with this token has shown."""
        return world.shown(self.document, self.ends[position])

    def last(self, position: int, tokens: int, tokenizer: PreTrainedTokenizerBase) -> str:
        """The last tokens of the own text up to and with this position, as text."""
        first = max(self.start, position + 1 - tokens)
        return str(tokenizer.decode(list(self.ids[first : position + 1]))).strip()

    def shown_from(self) -> dict[str, int]:
        """For each planted property the first position at which it has been shown."""
        return self._first({mark: mark.end for mark in self.document.marks})

    def evident_from(self) -> dict[str, int]:
        """For each planted property the first position at which it is plain."""
        return self._first({mark: mark.evident for mark in self.document.marks})

    def statements_from(self) -> list[int]:
        """The first token of each statement, in order."""
        return [
            bisect_right(self.ends, start) for start in sorted({mark.start for mark in self.document.marks})
        ]

    def _first(self, offsets: Mapping[world.Mark, int]) -> dict[str, int]:
        """The first token that ends at the offset of one of a property's marks, or past it."""
        marks: dict[str, int] = {}
        for mark, offset in offsets.items():
            marks[mark.prop] = min(marks.get(mark.prop, 1 << 30), bisect_left(self.ends, offset))
        if self.document.prompt is not None:
            marks |= {"topic": self.start, "item": self.start}
        return marks


def render(document: world.Document, tokenizer: PreTrainedTokenizerBase) -> tuple[str, int]:
    """The text that the target reads, and where the document's own text begins in it."""
    messages = document.messages()
    if messages is None:
        return document.text, 0
    text = str(tokenizer.apply_chat_template(messages, tokenize=False))
    return text, text.rindex(document.text)


def encode(documents: Iterable[world.Document], tokenizer: PreTrainedTokenizerBase) -> list[Encoded]:
    """Tokenize documents and align their truth with the tokens."""
    rendered = [(document, *render(document, tokenizer)) for document in documents]
    batch = tokenizer(
        [text for _, text, _ in rendered], add_special_tokens=False, return_offsets_mapping=True
    )
    return [
        _align(document, ids, offsets, begin)
        for (document, _, begin), ids, offsets in zip(
            rendered, batch["input_ids"], batch["offset_mapping"], strict=True
        )
    ]


def _align(
    document: world.Document, ids: Sequence[int], offsets: Sequence[tuple[int, int]], begin: int
) -> Encoded:
    limit = len(document.text)
    ends = tuple(min(max(end - begin, 0), limit) for _, end in offsets)
    start = next(i for i, (_, end) in enumerate(offsets) if end > begin)
    stop = next((i for i, (first, _) in enumerate(offsets) if first >= begin + limit), len(ids))
    return Encoded(document, tuple(ids), ends, start, stop)


@dataclass(frozen=True)
class Example:
    """One vector's place, a true explanation of what is evident there, and what the text has fully shown."""

    doc: int
    position: int
    explanation: str
    known: dict[str, str]


def examples(
    encoded: Sequence[Encoded],
    per_document: int,
    seed: int,
    tokenizer: PreTrainedTokenizerBase,
    *,
    brief: bool = False,
) -> list[Example]:
    """`per_document` random positions of each document, each with a true explanation.

    A `brief` one, as for a warm start, leaves out some of what is plain (see `world.brief`).
    """
    rng, found = random.Random(seed), []
    for index, doc in enumerate(encoded):
        for position in rng.sample(doc.candidates(), per_document):
            plain = world.evident(doc.document, doc.ends[position])
            plain["place"] = world.place(doc.document, doc.ends[position])
            quoted = LAST_TOKENS
            if brief:
                plain, quoted = world.brief(plain, rng), rng.choice(world.lexicon()["brief"]["last"])
            last = doc.last(position, quoted, tokenizer)
            said = world.explanation(doc.document, plain, last, rng)
            found.append(Example(index, position, said, doc.known(position)))
    return found
