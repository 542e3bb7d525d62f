"""What a proof found: scores under each injection that was tried, and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from nla_ray.config.models.injection import PROVEN_FROM

Outcome = Literal["proven", "refused", "undecided"]


@dataclass(frozen=True)
class Tried:
    """How answers under one injection score, as cosines: with their own vectors, and with other texts'.

    `low` and `high` are the interval of the difference, by texts; `closed` the share of closed answers.
    """

    injection: str
    own: float
    others: float
    low: float
    high: float
    closed: float
    problem: str | None = None

    @property
    def needed(self) -> float:
        """What the lower end of the interval must exceed."""
        return PROVEN_FROM * (1 - self.others)

    @property
    def reads(self) -> bool:
        """Whether answers fit their own vectors so much better than those of other texts."""
        return self.low > self.needed

    @property
    def numbers(self) -> str:
        """The scores in a few words."""
        if self.problem is not None:
            return f"{self.injection}: {self.problem}"
        return (
            f"{self.injection}: cosine {self.own:.3f} with own vectors, {self.others:.3f} with other texts', "
            f"difference {self.low:+.3f} to {self.high:+.3f}, above {self.needed:.3f} is needed"
        )


@dataclass(frozen=True)
class Proof:
    """All that was tried; `wanted` is what the pair's files or an option say, if they do."""

    tried: tuple[Tried, ...]
    wanted: str | None

    @property
    def reading(self) -> list[str]:
        """Injections under which the pair reads the target."""
        return [one.injection for one in self.tried if one.reads]

    @property
    def proven(self) -> str | None:
        """What is said, or else the only one, where nothing of another kind or site reads; None otherwise."""
        reading = self.reading
        if len({place_of(one) for one in reading}) != 1:
            return None
        if self.wanted is not None:
            return self.wanted if self.wanted in reading else None
        return reading[0] if len(reading) == 1 else None

    @property
    def outcome(self) -> Outcome:
        """What was found, in a word."""
        if self.proven is not None:
            return "proven"
        missed = self.wanted is not None and self.wanted not in self.reading
        return "refused" if missed or not self.reading else "undecided"

    @property
    def verdict(self) -> str:
        """What was found, in a line."""
        reading = self.reading
        if self.proven is not None:
            alone = "; what is of another kind is at the level of other texts' vectors"
            return f"proven: {self.proven}{alone if len(self.tried) > 1 else ' reads this target'}"
        if not reading:
            return "refused: the pair does not read this target: it is another model's, or damaged"
        if self.outcome == "refused":
            return f"refused: {self.wanted} is said, and the pair reads under {' and '.join(reading)}"
        return (
            f"undecided: the pair reads under {' and '.join(reading)}; ask its publisher which one it was "
            "trained with"
        )

    def as_json(self) -> dict[str, Any]:
        """All of it, as it is stored: the outcome, its scores, what was tried; what is no number is null."""
        best = next((one for one in self.tried if one.injection == self.proven), self.tried[0])
        scores = {name: value for name, value in _finite(best).items() if name != "problem"}
        tried = [_finite(one) for one in self.tried]
        return {"verdict": self.outcome, **scores, "wanted": self.wanted, "tried": tried}

    @classmethod
    def of_json(cls, stored: Mapping[str, Any]) -> Proof:
        """The proof that was stored."""
        return cls(tuple(_tried(one) for one in stored["tried"]), stored["wanted"])


def _tried(stored: Mapping[str, Any]) -> Tried:
    numbers = {one.name for one in fields(Tried)} - {"injection", "problem"}
    known: dict[str, Any] = {
        name: math.nan if value is None and name in numbers else value for name, value in stored.items()
    }
    return Tried(**known)


def place_of(injection: str) -> str:
    """Kind and site, without the scale."""
    return injection.partition("=")[0]


def _finite(tried: Tried) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in asdict(tried).items()
    }
