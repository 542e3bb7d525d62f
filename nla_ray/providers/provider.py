"""What a provider of explanations is, and what counts as an explanation."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nla_ray.errors import Exit, NlaError
from nla_ray.nla.outcomes import OPEN, extract, storable

_THINKING = re.compile(r"</(?:think|thinking|thought|reasoning)>|\[/THINK\]", re.IGNORECASE)
_BEGINS_THINKING = re.compile(r"\s*(?:<(?:think|thinking|thought|reasoning)>|\[THINK\])", re.IGNORECASE)

FEATURES = 2
"""Paragraphs that an explanation by a language model must have."""


class BudgetError(NlaError):
    """The budget is spent; what was answered is kept."""

    exit_code = Exit.OVER_BUDGET


@dataclass(frozen=True)
class Place:
    """One activation to explain: where it is, the text up to its token, that token, the last few tokens.

    What is not known is None. `meta` are the columns that the corpus carries along.
    """

    doc_id: str
    position: int | None
    text: str | None
    token: str | None
    tail: Sequence[str] | None
    meta: Mapping[str, Any]


@dataclass(frozen=True)
class Said:
    """An explanation, or the reason why there is none. `requests` and `tokens` this unit paid for it."""

    text: str | None
    reason: str | None = None
    requests: int = 0
    tokens: int = 0


class Provider(ABC):
    """Explains places; light to make, heavy only after `setup`."""

    def setup(self) -> None:  # noqa: B027 (most providers need none)
        """Open what is needed, in the process that explains."""

    def remember(self, requests: int, tokens: int) -> None:  # noqa: B027 (most providers cost nothing)
        """Be told of what earlier attempts at the same set have paid."""

    @abstractmethod
    def explain(self, places: Sequence[Place], unit: str) -> Iterator[tuple[int, Said]]:
        """Each place's index with what was said of it, in any order; `unit` names who asks.

        Raises NlaError, BudgetError.
        """


def parsed(raw: str) -> Said:
    """The explanation in a language model's answer: closed, and of at least `FEATURES` paragraphs.

    A server that does not split reasoning off leaves it in front; its drafts are no answer.
    """
    answer = storable(raw)
    ends = [one.end() for one in _THINKING.finditer(answer) if OPEN in answer[one.end() :]]
    answer = answer[ends[-1] if ends else 0 :]
    if _BEGINS_THINKING.match(answer):
        return Said(None, "the reasoning did not end")
    text, closed = extract(answer)
    if not closed:
        return Said(None, "no closing tag")
    features = [part.strip() for part in re.split(r"\n\s*\n", text) if part.strip()]
    if len(features) < FEATURES:
        return Said(None, "fewer than two features")
    return Said("\n\n".join(features))
