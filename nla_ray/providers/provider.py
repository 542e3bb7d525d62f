"""What a provider of explanations is, and what counts as an explanation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nla_ray.chat.answer import after_thinking
from nla_ray.errors import Exit, NlaError
from nla_ray.nla.outcomes import OPEN, extract
from nla_ray.providers.features import features_of
from nla_ray.text import storable

FEATURES = 2
"""Features that an explanation by a language model must have."""


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
    """An explanation, or the reason why there is none. `requests` and `tokens` this unit paid for it.

    `again`: a blank answer was kept, and has been asked for once more.
    """

    text: str | None
    reason: str | None = None
    requests: int = 0
    tokens: int = 0
    again: bool = False


class Provider(ABC):
    """Explains places; light to make, heavy only after `setup`."""

    def setup(self) -> None:  # noqa: B027 (most providers need none)
        """Open what is needed, in the process that explains."""

    def close(self) -> None:  # noqa: B027 (most providers hold nothing)
        """Let go of what `setup` or asking has opened."""

    def remember(self, requests: int, tokens: int) -> None:  # noqa: B027 (most providers cost nothing)
        """Be told of what earlier attempts at the same set have paid."""

    @abstractmethod
    def explain(self, places: Sequence[Place], unit: str) -> Iterator[tuple[int, Said]]:
        """Each place's index with what was said of it, in any order; `unit` names who asks.

        Raises NlaError, BudgetError.
        """


def says(raw: str) -> bool:
    """Whether an answer has words besides the model's thinking."""
    return bool(after_thinking(raw, OPEN).strip())


def parsed(raw: str) -> Said:
    """The explanation in a language model's answer: closed, after its thinking, of `FEATURES` or more."""
    answer = after_thinking(storable(raw), OPEN)
    if not answer.strip():
        return Said(None, "nothing but reasoning" if raw.strip() else "empty")
    text, closed = extract(answer)
    if not closed:
        return Said(None, "no closing tag")
    features = features_of(text)
    if len(features) < FEATURES:
        return Said(None, "fewer than two features")
    return Said("\n\n".join(features))
