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


@dataclass(frozen=True)
class Comparison:
    """A text and those in which its features are looked for: about the same, and as many about others."""

    text: int
    others: Sequence[int]
    drawn: Sequence[int]


def recurrence(real: Rows, documents: Documents, seed: int) -> tuple[tuple[Recurrence, ...], float | None]:
    """Recurrence of words and sections over samples and over neighbours; the neighbours' median distance."""
    real = real.take(real.text != "")
    words = _content([words_of(text) for text in real.text])
    parts = [
        [kept for part in sections(text) if (kept := words_of(part) & own)]
        for text, own in zip(real.text, words, strict=True)
    ]
    over_samples, (over_neighbours, distances) = list(_samples(real, seed)), _neighbours(real, seed)
    found: list[Recurrence] = []
    over: tuple[tuple[Found, Sequence[Comparison]], ...] = (
        ("samples", over_samples), ("neighbours", over_neighbours),
    )  # fmt: skip
    for kind, comparisons in over:
        if not comparisons:
            continue
        times = _times(real, words) if kind == "samples" else {}
        singles = [[frozenset({word}) for word in own] for own in words]
        found.append(_count("word", kind, comparisons, singles, words, real, documents, times))
        found.append(_count("section", kind, comparisons, parts, words, real, documents, {}))
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


def _count(
    feature: str,
    over: Found,
    comparisons: Sequence[Comparison],
    features: Sequence[Sequence[Words]],
    words: Sequence[Words],
    real: Rows,
    documents: Documents,
    times: dict[str, int],
) -> Recurrence:
    used = [one for one in comparisons if features[one.text] and one.drawn]
    rates = np.array([_held(features[one.text], [words[at] for at in one.others]) for one in used])
    chances = np.array([_held(features[one.text], [words[at] for at in one.drawn]) for one in used])
    document = real.document[[one.text for one in used]] if used else np.empty(0, np.int64)
    return Recurrence.model_validate(
        {
            "feature": feature,
            "over": over,
            "features": sum(len(features[one.text]) for one in used),
            "rate": documents.mean(document, rates),
            "chance": documents.mean(document, chances),
            "lift": documents.mean(document, rates - chances),
            "times": times,
        }
    )


def _held(features: Sequence[Words], texts: Sequence[Words]) -> float:
    """Mean over features of the share of texts that hold them."""
    held = [[len(feature & text) >= HELD * len(feature) for text in texts] for feature in features]
    return float(np.mean(held))


def _times(real: Rows, words: Sequence[Words]) -> dict[str, int]:
    """Distinct words of a vector by how many of its answers hold them, for vectors with every answer."""
    groups = _groups(real.row_id)
    most = max(map(len, groups), default=0)
    counts: Counter[int] = Counter()
    for group in groups:
        if len(group) == most:
            counts.update(Counter(word for at in group for word in words[at]).values())
    return {str(n): counts[n] for n in range(1, most + 1)}
