"""Detections as SQL: whether a text satisfies them and where, and one filter for all of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from nla_ray.audit.detect import structure
from nla_ray.audit.detect.anchors import END, AnchorFinder, Anchors, Vocabulary
from nla_ray.config.detectors.model import Detection, Group
from nla_ray.config.detectors.patterns import MOST_ALTERNATIVES, MOST_BYTES, either, expression

MACROS = structure.macros()


def literal(text: str) -> str:
    """A string of SQL."""
    return "'" + text.replace("'", "''") + "'"


def holds(detection: Detection, text: str) -> str:
    """SQL that says whether a text, as the detection sees it, satisfies it."""
    return detection.term().write(lambda name: _group(detection.groups[name], text))


def visible(detection: Detection, text: str) -> str:
    """SQL of a text without what the detection excludes."""
    return f"blank({text}, {literal(either(detection.exclude))})" if detection.exclude else text


def quote(detection: Detection, text: str) -> str:
    """SQL of the first quotable match in a visible text that satisfies the detection, else the empty text."""
    first = f"regexp_extract({text}, {_quotable(detection)})"
    if detection.plain:
        return first
    does = f"CASE WHEN {may_hold(detection, text)} THEN {_has_share(detection, text)} END"
    return f"CASE WHEN {does} THEN {first} ELSE '' END"


def _has_share(detection: Detection, text: str) -> str:
    """SQL that says whether a text satisfies the detection, and what matches is enough of its letters."""
    if not detection.least_share:
        return holds(detection, text)
    found = f"array_to_string(regexp_extract_all({text}, {_quotable(detection)}), '')"
    shares = [f"length(regexp_replace({one}, '\\PL+', '', 'g'))" for one in (found, text)]
    return f"{holds(detection, text)} AND {shares[0]} >= {detection.least_share} * {shares[1]}"


def may_hold(detection: Detection, text: str) -> str:
    """SQL of something cheaper that is true of every text that satisfies the detection."""
    return f"regexp_matches({text}, {_quotable(detection)})"


def before(detection: Detection, text: str) -> str:
    """SQL of how many characters of a visible text stand before the first quotable match."""
    marked = f"regexp_replace({text}, {_quotable(detection)}, chr(4))"
    return f"strpos({marked}, chr(4)) - 1"


def _quotable(detection: Detection) -> str:
    return literal("|".join(detection.quotable()))


def _group(group: Group, text: str) -> str:
    whole = group.whole_words
    plain = [expression(pattern, whole_words=whole) for pattern in group.any]
    some = [*plain, *(pair.expression() for pair in group.near)]
    every = [expression(pattern, whole_words=whole) for pattern in group.all]
    parts = [_matches(text, "|".join(some))] if some else []
    parts += [_matches(text, one) for one in every]
    parts += [f"NOT {_matches(text, either(group.none, whole_words=whole))}"] if group.none else []
    return f"({' AND '.join(parts)})"


def _matches(text: str, re2: str) -> str:
    return f"regexp_matches({text}, {literal(re2)})"


@dataclass(frozen=True)
class Filter:
    """What one scan looks for so that no row is missed that satisfies a detection.

    `words` are anchors, none of which begins with another; `others` are expressions of detections that have
    none. `anchors` are the words that stand for a detection, None for a match of one of `others`.
    """

    words: Sequence[str]
    others: Sequence[str]
    anchors: Mapping[str, Sequence[str] | None]

    @classmethod
    def of(cls, detections: Mapping[str, Detection], vocabulary: Vocabulary) -> Filter:
        """The filter for detections by their ids; the vocabulary decides on its speed, not on its finds."""
        finder = AnchorFinder(vocabulary)
        found = {name: finder.of_detection(detection) for name, detection in detections.items()}
        others = ["|".join(one.quotable()) for name, one in detections.items() if found[name] is None]
        every = [word for anchors in found.values() for word in anchors or ()]
        words = vocabulary.fitted(every, MOST_ALTERNATIVES - len(others))
        return cls(words, others, {name: _kept(anchors, words) for name, anchors in found.items()})

    def passes(self, text: str) -> str:
        """SQL that says whether a row must be looked at."""
        expressions = [*(rf"\b{word}" for word in self.words), *self.others]
        return " OR ".join(_matches(text, chunk) for chunk in chunks(expressions)) or "false"

    def found(self, text: str) -> str:
        """SQL of the list of words that occur, as in `anchors`."""
        parts = [
            f"regexp_extract_all({text}, {literal(chunk)})"
            for chunk in chunks([rf"\b{word}" for word in self.words])
        ]
        return " || ".join(parts) or "[]::VARCHAR[]"

    def other(self, text: str) -> str:
        """SQL that says whether one of `others` matches."""
        return " OR ".join(_matches(text, chunk) for chunk in chunks(self.others)) or "false"


def _kept(anchors: Anchors | None, words: Sequence[str]) -> Sequence[str] | None:
    """The words that stand for these anchors: themselves, or what they begin with.

    `words` are sorted and none begins with another, so that only the last one up to an anchor can begin it.
    """
    if anchors is None:
        return None
    nearest = {words[at - 1] for anchor in anchors if (at := bisect_right(words, anchor))}
    kept = [word for word in sorted(nearest) if any(anchor.startswith(word) for anchor in anchors)]
    return [word.removesuffix(END) for word in kept]


def chunks(expressions: Sequence[str]) -> Iterator[str]:
    """Alternations of all expressions, each within what RE2 does fast."""
    chunk: list[str] = []
    size = 0
    for one in expressions:
        if chunk and (len(chunk) == MOST_ALTERNATIVES or size + len(one.encode()) + 1 > MOST_BYTES):
            yield "|".join(chunk)
            chunk, size = [], 0
        chunk.append(one)
        size += len(one.encode()) + 1
    if chunk:
        yield "|".join(chunk)
