"""Recurrence: how often what an explanation says is said again by other samples, or at neighbours.

A feature is one of two things, both found without a model. A word: four letters or more, normalised, not in
more than half of all explanations (the verbalizer's own phrases). A section: a part between blank lines; a
text holds it if it holds at least half of its words. Either says only that words recur, not that they are
true, and both recur by chance: the rate stands beside the same count in texts of other documents.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nla_ray.evaluation.edits import sections
from nla_ray.evaluation.intervals import Documents
from nla_ray.evaluation.model import Found, Recurrence
from nla_ray.evaluation.rows import UNKNOWN, Rows
from nla_ray.ids import digest
from nla_ray.text import normalise

COMMON = 0.5
"""A word that more than this share of the explanations hold is not looked at."""
HELD = 0.5
"""A section is held by a text with at least this share of its words."""

_WORD = re.compile(r"[^\W\d_]{4,}")

Words = frozenset[str]


Feature = Literal["word", "section"]


@dataclass(frozen=True)
class Comparison:
    """A text and those in which its features are looked for: about the same, and as many about others."""

    text: int
    others: Sequence[int]
    drawn: Sequence[int]


@dataclass(frozen=True)
class Said:
    """The features of every text: its words, and the words of each of its sections."""

    rows: Rows
    words: Sequence[Words]
    sections: Sequence[Sequence[Words]]

    def features(self, feature: Feature, at: int) -> int:
        """How many a text has."""
        return len(self.words[at] if feature == "word" else self.sections[at])

    def held(self, feature: Feature, at: int, texts: Sequence[int]) -> float:
        """Mean over the features of a text of the share of other texts that hold them."""
        found = [self.words[other] for other in texts]
        if feature == "word":
            own = self.words[at]
            return sum(len(own & other) for other in found) / (len(own) * len(found))
        parts = self.sections[at]
        held = sum(len(part & other) >= HELD * len(part) for part in parts for other in found)
        return held / (len(parts) * len(found))


def recurrence(real: Rows, documents: Documents, seed: int) -> tuple[tuple[Recurrence, ...], float | None]:
    """Recurrence of words and sections over samples and over neighbours; the neighbours' median distance."""
    real = real.take(real.text != "")
    words = _content([words_of(text) for text in real.text])
    parts = [
        [kept for part in sections(text) if (kept := words_of(part) & own)]
        for text, own in zip(real.text, words, strict=True)
    ]
    said = Said(real, words, parts)
    over_samples, (over_neighbours, distances) = list(_samples(real, seed)), _neighbours(real, seed)
    found = [
        *_counts("samples", over_samples, said, documents),
        *_counts("neighbours", over_neighbours, said, documents),
    ]
    return tuple(found), float(np.median(distances)) if distances else None


def words_of(text: str) -> Words:
    """Distinct words of four letters or more, normalised."""
    return frozenset(_WORD.findall(normalise(text)))


def _content(words: Sequence[Words]) -> list[Words]:
    """The words of each text without those that most texts hold."""
    held = Counter(word for own in words for word in own)
    common = {word for word, n in held.items() if n > COMMON * len(words)}
    return [own - common for own in words]


def _samples(real: Rows, seed: int) -> Iterator[Comparison]:
    """Each answer beside the other answers to the same vector."""
    for group in _groups(real.row_id):
        if len(group) > 1:
            for at in group:
                others = [other for other in group if other != at]
                yield Comparison(at, others, _drawn(real, at, len(others), seed))


def _neighbours(real: Rows, seed: int) -> tuple[list[Comparison], list[int]]:
    """The first answer at each position beside those at the positions read before and after it."""
    firsts = [group[0] for group in _groups(real.row_id)]
    comparisons, distances = [], []
    for group in _groups(real.document[firsts]):
        line = sorted((firsts[at] for at in group), key=lambda at: int(real.position[at]))
        line = [at for at in line if real.position[at] != UNKNOWN]
        for place, at in enumerate(line):
            others = [line[there] for there in (place - 1, place + 1) if 0 <= there < len(line)]
            if others:
                comparisons.append(Comparison(at, others, _drawn(real, at, len(others), seed)))
                distances += [abs(int(real.position[other] - real.position[at])) for other in others]
    return comparisons, distances


def _groups(keys: Sequence[object] | np.ndarray) -> list[list[int]]:
    """Indices with equal keys, in order."""
    found: dict[object, list[int]] = {}
    for at, key in enumerate(keys):
        found.setdefault(key, []).append(at)
    return list(found.values())


def _drawn(real: Rows, at: int, n: int, seed: int) -> list[int]:
    """`n` texts of other documents, drawn by key; fewer where there are hardly any."""
    key = digest("recurrence", seed, real.row_id[at], int(real.sample[at]))
    drawn = np.random.default_rng(int(key[:16], 16)).integers(0, len(real), 8 * n)
    others = (int(one) for one in drawn if real.document[one] != real.document[at])
    return [one for one, _ in zip(dict.fromkeys(others), range(n), strict=False)]


def _counts(
    over: Found, comparisons: Sequence[Comparison], said: Said, documents: Documents
) -> Iterator[Recurrence]:
    """Words, then sections; nothing where there is nothing to compare."""
    features: tuple[Feature, ...] = ("word", "section")
    for feature in features if comparisons else ():
        used = [one for one in comparisons if one.drawn and said.features(feature, one.text)]
        rates = np.array([said.held(feature, one.text, one.others) for one in used])
        chances = np.array([said.held(feature, one.text, one.drawn) for one in used])
        document = said.rows.document[np.array([one.text for one in used], np.int64)]
        yield Recurrence(
            feature=feature,
            over=over,
            features=sum(said.features(feature, one.text) for one in used),
            rate=documents.mean(document, rates),
            chance=documents.mean(document, chances),
            lift=documents.mean(document, rates - chances),
            times=_times(said.rows, said.words) if (feature, over) == ("word", "samples") else {},
        )


def _times(real: Rows, words: Sequence[Words]) -> dict[str, int]:
    """Distinct words of a vector by how many of its answers hold them, for vectors with every answer."""
    groups = _groups(real.row_id)
    most = max(map(len, groups), default=0)
    counts: Counter[int] = Counter()
    for group in groups:
        if len(group) == most:
            counts.update(Counter(word for at in group for word in words[at]).values())
    return {str(n): counts[n] for n in range(1, most + 1)}
