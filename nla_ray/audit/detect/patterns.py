"""Detections as SQL: whether a text satisfies them and where, and one filter for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from nla_ray.audit.detect import structure
from nla_ray.audit.detect.anchors import AnchorFinder, Anchors, Vocabulary
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


def satisfies(detection: Detection, text: str, may: str) -> str:
    """SQL that says whether a visible text satisfies the detection, where `may` says that it may hold."""
    return may if detection.plain else f"CASE WHEN {may} THEN {_has_share(detection, text)} ELSE false END"


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


def marked(detection: Detection, text: str) -> str:
    """SQL of a visible text with its first quotable match, if any, between chr(4) and chr(5)."""
    return f"regexp_replace({text}, {_quotable(detection)}, chr(4) || '\\0' || chr(5))"


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

    `words` are anchors, none of which begins with another, and each anchor begins with one; `others` are
    expressions of detections that have none. `anchors` are those of each detection, None for a match of one
    of `others`.
    """

    words: Sequence[str]
    others: Sequence[str]
    anchors: Mapping[str, Anchors | None]

    @classmethod
    def of(cls, detections: Mapping[str, Detection], vocabulary: Vocabulary) -> Filter:
        """The filter for detections by their ids; the vocabulary decides on its speed, not on its finds."""
        finder = AnchorFinder(vocabulary)
        found = {name: finder.of_detection(detection) for name, detection in detections.items()}
        others = ["|".join(one.quotable()) for name, one in detections.items() if found[name] is None]
        every = [word for anchors in found.values() for word in anchors or ()]
        words = vocabulary.fitted(every, MOST_ALTERNATIVES - len(others))
        return cls(words, others, found)

    def passes(self, text: str) -> str:
        """SQL that says whether a row must be looked at."""
        expressions = [*(rf"\b{word}" for word in self.words), *self.others]
        return " OR ".join(_matches(text, chunk) for chunk in chunks(expressions)) or "false"

    def found(self, text: str) -> str:
        """SQL of the list of words of a text that begin with one of `words`."""
        expressions = [rf"\b(?:{chunk})\w*" for chunk in chunks(self.words)]
        parts = [f"regexp_extract_all({text}, {literal(one)})" for one in expressions]
        return " || ".join(parts) or "[]::VARCHAR[]"

    def other(self, text: str) -> str:
        """SQL that says whether one of `others` matches."""
        return " OR ".join(_matches(text, chunk) for chunk in chunks(self.others)) or "false"


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
