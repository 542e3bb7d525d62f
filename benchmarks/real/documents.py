"""Short documents in plain English, by several authors, of which topic, tone and conduct are known."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FIELDS = ("topic", "tone", "act")
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Document:
    """A text, its author (-1: running text), what is true of it, and its sentences.

    A sentence is its field, and its first character and the one behind its last.
    """

    doc_id: str
    text: str
    author: int
    truth: Mapping[str, str]
    sentences: tuple[tuple[str, int, int], ...] = ()

    def said(self, end: int) -> dict[str, str]:
        """What the sentence says that a character is in, once two thirds of it have been read.

        A probe reads nearly nothing of the sentences before: what they said is no longer in the vector.
        """
        for field, start, stop in self.sentences:
            if start + 2 * (stop - start) / 3 <= end <= stop:
                return {field: self.truth[field]}
        return {}


@cache
def lexicon() -> dict[str, Any]:
    """Sentences and words by field, label and author."""
    found: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("lexicon.yaml").read_text("utf-8"))
    return found


def labels(field: str) -> tuple[str, ...]:
    """What can be true of a document."""
    return tuple(lexicon()[field])


def authors() -> range:
    """All authors; the last one's wordings are held out."""
    return range(len(lexicon()["frames"]))


def documents(seed: int, count: int, by: Iterable[int]) -> list[Document]:
    """Documents by these authors, whose truths are drawn independently of each other."""
    rng, chosen = random.Random(seed), list(by)
    return [_document(f"{seed}-{number}", rng, rng.choice(chosen)) for number in range(count)]


def passages(seed: int, count: int, *, held_out: bool) -> list[Document]:
    """Running text of which nothing is known: the project's documentation; a page is on one side."""
    rng, found = random.Random(seed), []
    for number, path in enumerate(sorted(ROOT.glob("docs/**/*.md"), key=lambda path: path.name)):
        if (number % 4 == 3) == held_out:
            found += [one for one in _paragraphs(path.read_text("utf-8")) if len(one) > 150]
    rng.shuffle(found)
    texts = [one[:320].rsplit(" ", 1)[0] for one in found[:count]]
    return [Document(f"passage-{seed}-{n}", text, -1, {}) for n, text in enumerate(texts)]


def _paragraphs(text: str) -> list[str]:
    plain = [one.strip().replace("\n", " ") for one in text.split("\n\n")]
    return [one for one in plain if one[:1].isalpha()]


def _document(doc_id: str, rng: random.Random, author: int) -> Document:
    truth = {field: rng.choice(labels(field)) for field in FIELDS}
    words = rng.sample(lexicon()["topic"][truth["topic"]][author], 4)
    first, second = rng.sample(lexicon()["frames"][author], 2)
    sentences = [
        ("topic", first.format(a=words[0], b=words[1])),
        ("topic", second.format(a=words[2], b=words[3])),
    ]
    sentences += [(field, rng.choice(lexicon()[field][truth[field]][author])) for field in ("tone", "act")]
    rng.shuffle(sentences)
    text, found = "", []
    for field, sentence in sentences:
        start = len(text) + bool(text)
        text = f"{text} {sentence}".strip()
        found.append((field, start, len(text)))
    return Document(doc_id, text, author, truth, tuple(found))
