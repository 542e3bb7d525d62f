"""Anchors of patterns: beginnings of words of which any match contains one, so that one scan serves all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile

from nla_ray.config.condition import Term
from nla_ray.config.detectors import Detection, Group
from nla_ray.config.patterns import alternatives, tokens

Anchors = frozenset[str]

COMMON = frozenset(
    """a about agent ai an and answer any are as asker assistant at author be become been being by can does feel for
    from get give has have he her his how i if in instead into is it its itself know like make model more mood
    my narrator new no not of on one only or other out output own people person question re reader reply response say
    says seem seems she so some somebody someone speaker tell text that the their them they this to tone up user
    want was what who will with word write writer you your""".split()
)
"""Words that explanations are full of: a poor anchor, though a true one."""
_SEPARATORS = frozenset(" -'\"")


def anchors_of(detection: Detection) -> Anchors | None:
    """Anchors of whatever satisfies the detection's condition; None where there are none."""
    return _of_term(detection.term(), detection.groups)


def _of_term(term: Term, groups: dict[str, Group]) -> Anchors | None:
    if term.operator == "name":
        return of_group(groups[term.name])
    if term.operator == "not":
        return None
    found = [_of_term(one, groups) for one in term.terms]
    return _each(found) if term.operator == "or" else _best(found)


def of_group(group: Group) -> Anchors | None:
    """Anchors of whatever a group holds for."""
    if not group.whole_words:
        return None
    pairs = [_best([_of_any(pair.first), _of_any(pair.second)]) for pair in group.near]
    either = [_each([_of_any(group.any), *pairs])] if group.any else [_each(pairs)] if pairs else []
    return _best([*either, *(of_pattern(pattern) for pattern in group.all)])


def _of_any(patterns: Sequence[str]) -> Anchors | None:
    return _each([of_pattern(pattern) for pattern in patterns])


def of_pattern(pattern: str) -> Anchors | None:
    """Anchors of one pattern of whole words."""
    return _each([_of_sequence(branch) for branch in alternatives(tokens(pattern))])


def _of_sequence(parts: Sequence[str]) -> Anchors | None:
    """The best anchors along a sequence that begins at the beginning of a word."""
    found: list[Anchors | None] = []
    begins, at = True, 0
    while at < len(parts):
        part = parts[at]
        size = _size(parts[at:])
        counted = parts[at + size] if at + size < len(parts) else ""
        optional = counted[:1] in ("?", "*") or counted.startswith("{0")
        if part.startswith("(?") and size > 1:
            branches = list(alternatives(parts[at + 1 : at + size - 1]))
            if begins and not optional:
                found.append(_each([_of_sequence(branch) for branch in branches]))
            begins = all(_separates(branch) for branch in branches) and (begins or not optional)
        elif begins and _literal(part):
            run = list(takewhile(_literal, parts[at:]))
            size = len(run)
            counted = parts[at + size] if at + size < len(parts) else ""
            word = run[:-1] if counted[:1] in ("?", "*", "{") else run
            found.append(frozenset({"".join(word).casefold()}) if word else None)
            begins = False
        else:
            begins = (part == r"\b" or _separator(part)) and (begins or not optional)
        at += size
        at += bool(counted) and counted[0] in "?*+{"
    return _best(found)


def _size(parts: Sequence[str]) -> int:
    """How many parts make the element that begins here: a group with all that is in it, or one."""
    depth = 0
    for count, part in enumerate(parts, start=1):
        depth += (part.startswith("(") and part[-1] != ")") - (part == ")")
        if depth <= 0:
            return count
    return len(parts)


def _literal(part: str) -> bool:
    return len(part) == 1 and part.isascii() and part.isalnum()


def _separator(part: str) -> bool:
    """Whether whatever a part matches stands between words."""
    return part in _SEPARATORS or (part[0] == "[" and len(part) > 2 and set(part[1:-1]) <= _SEPARATORS)


def _separates(branch: Sequence[str]) -> bool:
    return bool(branch) and _separator(branch[-1])


def _each(found: Iterable[Anchors | None]) -> Anchors | None:
    """Anchors of what may be any of several."""
    every = list(found)
    return None if None in every else frozenset().union(*(one for one in every if one is not None))


def _best(found: Iterable[Anchors | None]) -> Anchors | None:
    """The rarest of several anchors that each hold."""
    return max((one for one in found if one), key=_rarity, default=None)


def _rarity(anchors: Anchors) -> tuple[int, int]:
    common = [any(word.startswith(anchor) for word in COMMON) for anchor in anchors]
    return min(0 if poor else len(word) for word, poor in zip(anchors, common, strict=True)), -len(anchors)


def prefix_free(words: Iterable[str]) -> list[str]:
    """The words without those that begin with another one, sorted."""
    kept: list[str] = []
    for word in sorted(set(words)):
        if not kept or not word.startswith(kept[-1]):
            kept.append(word)
    return kept
