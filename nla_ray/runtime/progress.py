"""What is told of a run while it goes on, and by which names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Progress:
    """Where a run is. `before` of its units were there already; `vectors` were made in `seconds` since,
    with those of controls where `controls` says so, from `tokens` that the target read.

    `run` is its id and `cell` its place in a sweep, as far as they are known and there is one. `busy` are the
    seconds of all workers by step, `slot_use` the share of the verbalizers' slot-steps that gave a token.
    `unclosed` is the share of real answers, `fve_nrm` their mean, where the
    run's denominator is known.
    """

    doing: str
    documents: int = 0
    units: int = 0
    of_units: int = 0
    before: int = 0
    vectors: int = 0
    controls: bool = False
    tokens: int = 0
    seconds: float = 0.0
    busy: Mapping[str, float] = field(default_factory=dict)
    slot_use: float | None = None
    unclosed: float | None = None
    fve_nrm: float | None = None
    run: str = ""
    cell: str = ""


@dataclass(frozen=True)
class Labels:
    """What a run is called where many of them are watched."""

    run: str = ""
    model: str = ""
    corpus: str = ""
    sweep: str = ""
    week: str = ""

    def cell(self) -> str:
        """The place in a sweep, in one word; empty where the run is in none."""
        return "/".join((self.sweep, self.week, self.model, self.corpus)) if self.sweep else ""


UNNAMED = Labels()
