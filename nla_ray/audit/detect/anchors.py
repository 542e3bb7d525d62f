"""Anchors of patterns: words, or beginnings of words, of which any match contains one.

They let one scan serve all patterns. An anchor that is a whole word ends in `\\b`, as in an expression.
"""

from __future__ import annotations

import string
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise, takewhile

from nla_ray.config.detectors.condition import Term
from nla_ray.config.detectors.model import Detection, Group
from nla_ray.config.detectors.patterns import alternatives, tokens

Anchors = frozenset[str]
END = r"\b"
_SHORTEST = 3
_SEPARATORS = frozenset(" " + string.punctuation) - frozenset("_")
_SPECIAL = frozenset("()[]{}|?*+.^$\\")


class Vocabulary:
    """How often words occur in some of the texts: the fewer rows an anchor is in, the better it is."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        """`counts`: in how many texts each word is."""
        self._words = sorted(counts)
        self._sums = [0, *accumulate(counts[word] for word in self._words)]

    def cost(self, anchors: Anchors) -> float:
        """How many texts hold one of these, plus what is to be expected of short ones."""
        return sum(self._rows(anchor) + 4000 * 0.25 ** len(anchor) for anchor in sorted(anchors))

    def fitted(self, anchors: Iterable[str], most: int) -> list[str]:
        """At most so many anchors, none of which begins with another; whatever held one still does.

        Neighbours are joined to the beginning that they share, where that costs least.
        """
        kept = prefix_free(anchors)
        while len(kept) > most:
            shared = {_shared(one, other) for one, other in pairwise(kept)}
            joined = sorted(
                (one for one in shared if len(one) >= _SHORTEST),
                key=lambda one: (self._added(one, kept), one),
            )
            if not joined:
                break
            kept = prefix_free([*kept, *joined[: max(1, (len(kept) - most) // 2)]])
        return kept

    def _added(self, prefix: str, kept: Sequence[str]) -> float:
        """What it costs to look for a beginning instead of all `kept`, sorted, that begin with it."""
        first, end = (bisect_left(kept, bound) for bound in (prefix, prefix + "\U0010ffff"))
        return self.cost(frozenset({prefix})) - sum(map(self._rows, kept[first:end]))

    def _rows(self, anchor: str) -> int:
        word = anchor.removesuffix(END)
        last = "\0" if anchor.endswith(END) else "\U0010ffff"
        first, end = (bisect_left(self._words, bound) for bound in (word, word + last))
        return self._sums[end] - self._sums[first]


class AnchorFinder:
    """Finds the cheapest anchors of detections in texts of a vocabulary; which ones changes no result."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._cost = vocabulary.cost

    def of_detection(self, detection: Detection) -> Anchors | None:
        """Anchors of whatever satisfies the condition; None where there are none."""
        return self._of_term(detection.term(), detection.groups)

    def _of_term(self, term: Term, groups: Mapping[str, Group]) -> Anchors | None:
        if term.operator == "name":
            return self._of_group(groups[term.name])
        if term.operator == "not":
            return None
        found = [self._of_term(one, groups) for one in term.terms]
        return _each(found) if term.operator == "or" else self._best(found)

    def _of_group(self, group: Group) -> Anchors | None:
        if not group.whole_words:
            return None
        pairs = [self._best([self._of_any(pair.first), self._of_any(pair.second)]) for pair in group.near]
        alternative = [self._of_any(group.any), *pairs] if group.any else pairs
        either = [_each(alternative)] if alternative else []
        return self._best([*either, *(self.of_pattern(pattern) for pattern in group.all)])

    def _of_any(self, patterns: Sequence[str]) -> Anchors | None:
        return _each([self.of_pattern(pattern) for pattern in patterns])

    def of_pattern(self, pattern: str) -> Anchors | None:
        """Anchors of one pattern of whole words."""
        return self._of_branches(tokens(pattern), ends=True)

    def _of_branches(self, parts: Sequence[str], *, ends: bool) -> Anchors | None:
        return _each([self._of_sequence(branch, ends=ends) for branch in alternatives(parts)])

    def _of_sequence(self, parts: Sequence[str], *, ends: bool) -> Anchors | None:
        """The cheapest anchors along a sequence that begins where a word does; `ends`: it also ends so."""
        found: list[Anchors | None] = []
        begins, at = True, 0
        while at < len(parts):
            part, size = parts[at], _size(parts[at:])
            if begins and _literal(part):
                size = len(list(takewhile(_literal, parts[at:])))
            counted = parts[at + size] if at + size < len(parts) and parts[at + size][0] in "?*+{" else ""
            optional = counted[:1] in ("?", "*") or counted.startswith("{0")
            whole = not counted and _separates(parts[at + size : at + size + 1], parts[at + size + 1 :], ends)
            if begins and _literal(part):
                found.append(_word(parts[at : at + size], counted, whole))
                begins = False
            elif part.startswith("(?") and size > 1:
                inside = parts[at + 1 : at + size - 1]
                if begins and not optional:
                    found.append(self._of_branches(inside, ends=whole))
                begins = all(b and _separator(b[-1]) for b in alternatives(inside)) and (
                    begins or not optional
                )
            else:
                begins = (part == r"\b" or _separator(part)) and (begins or not optional)
            at += size + bool(counted)
        return self._best(found)

    def _best(self, found: Iterable[Anchors | None]) -> Anchors | None:
        """The cheapest of several anchors that each hold."""
        return min((one for one in found if one), key=self._cost, default=None)


def _shared(one: str, other: str) -> str:
    """The beginning that two anchors share."""
    same = takewhile(lambda pair: pair[0] == pair[1], zip(one.removesuffix(END), other, strict=False))
    return "".join(letter for letter, _ in same)


def _each(found: Iterable[Anchors | None]) -> Anchors | None:
    """Anchors of what may be any of several."""
    every = list(found)
    return None if None in every else frozenset().union(*(one for one in every if one is not None))


def _word(run: Sequence[str], counted: str, whole: bool) -> Anchors | None:
    """The anchor that a run of letters is; the last one may be missing where it is counted."""
    certain = run[:-1] if counted and counted != "+" else run
    return frozenset({"".join(certain).casefold() + (END if whole else "")}) if certain else None


def _size(parts: Sequence[str]) -> int:
    """How many parts make the element that begins here: a group with all that is in it, or one."""
    depth = 0
    for count, part in enumerate(parts, start=1):
        depth += (part.startswith("(") and part[-1] != ")") - (part == ")")
        if depth <= 0:
            return count
    return len(parts)


def _literal(part: str) -> bool:
    return len(part) == 1 and part.isascii() and (part.isalnum() or part == "_")


def _separator(part: str) -> bool:
    """Whether whatever a part matches stands between words."""
    if part[0] == "[":
        return len(part) > 2 and set(part[1:-1]) <= _SEPARATORS - {"^", "\\"}
    return part in _SEPARATORS - _SPECIAL or (part[0] == "\\" and part[1:] in _SEPARATORS)


def _separates(following: Sequence[str], rest: Sequence[str], ends: bool) -> bool:
    """Whether a word ends before what follows it: nothing, where a word ends, or a separator that must be."""
    if not following:
        return ends
    return (
        _separator(following[0]) and rest[:1] not in (["?"], ["*"]) and not "".join(rest[:1]).startswith("{0")
    )


def prefix_free(anchors: Iterable[str]) -> list[str]:
    """The anchors without those that begin with another one, sorted."""
    every = set(anchors)
    return sorted(one for one in every if not any(one[:size] in every for size in range(1, len(one))))
