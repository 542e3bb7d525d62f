"""What a unit cost and what came of it, in numbers that add up over units."""

from __future__ import annotations

import resource
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from nla_ray.nla.reconstruction.fidelity import Directions

COUNTS = ("documents", "truncated", "windowed", "vectors", "tokens", "left_out", "generated")


@dataclass
class Tally:
    """Numbers of one unit, or of many.

    `seconds` are busy seconds per step, `tokens` what the target read, `left_out` the documents' other
    tokens, `generated` the tokens of the answers. `outcomes` and `cosines` (answers with a score and the sum
    of their `cos`) are by control. `decoders` counts vectors by the decoder that served them (`slots`,
    `plain`), `steps` how often a slot of one was computed for one more token (`slots`), and an answer got one
    by it (`useful`). `peak_bytes` is the largest memory of each worker process, by a random id.
    `directions` are summed only where the run needs its own baseline.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    documents: int = 0
    truncated: int = 0
    windowed: int = 0
    vectors: int = 0
    tokens: int = 0
    left_out: int = 0
    generated: int = 0
    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    cosines: dict[str, tuple[int, float]] = field(default_factory=dict)
    decoders: Counter[str] = field(default_factory=Counter)
    steps: Counter[str] = field(default_factory=Counter)
    peak_bytes: dict[str, int] = field(default_factory=dict)
    directions: Directions | None = None

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Add the time of the block to a step."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[step] = self.seconds.get(step, 0.0) + time.perf_counter() - start

    def saw_worker(self) -> None:
        """Note the largest memory of this process so far."""
        self.peak_bytes[worker_id()] = peak_bytes()

    def mean_cos(self, control: str) -> float | None:
        """Mean `cos` of the scored answers of a control; None where there are none."""
        n, total = self.cosines.get(control, (0, 0.0))
        return total / n if n else None

    @property
    def slot_use(self) -> float | None:
        """Share of the slots' steps that gave a token; None where there were none."""
        return self.steps["useful"] / self.steps["slots"] if self.steps["slots"] else None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        plain = {name: value for name, value in vars(self).items() if name != "directions"}
        plain["cosines"] = {control: list(sums) for control, sums in self.cosines.items()}
        plain["decoders"], plain["steps"] = dict(self.decoders), dict(self.steps)
        plain["outcomes"] = {control: dict(counts) for control, counts in self.outcomes.items()}
        if self.directions is not None:
            plain["directions"] = {"n": self.directions.n, "total": self.directions.total.tolist()}
        return plain


def total(tallies: Iterable[Mapping[str, Any]]) -> Tally:
    """The sum of tallies in their JSON form."""
    found = Tally()
    for one in tallies:
        for step, spent in one["seconds"].items():
            found.seconds[step] = found.seconds.get(step, 0.0) + spent
        for name in COUNTS:
            setattr(found, name, getattr(found, name) + one[name])
        for control, counts in one["outcomes"].items():
            found.outcomes.setdefault(control, Counter()).update(counts)
        for control, (n, cosines) in one["cosines"].items():
            before = found.cosines.get(control, (0, 0.0))
            found.cosines[control] = (before[0] + n, before[1] + cosines)
        for worker, peak in one["peak_bytes"].items():
            found.peak_bytes[worker] = max(peak, found.peak_bytes.get(worker, 0))
        # Units that were made before this was counted lack it.
        found.decoders.update(one.get("decoders", {}))
        found.steps.update(one.get("steps", {}))
        if "directions" in one:
            found.directions = _sum(found.directions, one["directions"])
    return found


def reused_tally(run_id: str, tally: Mapping[str, Any]) -> dict[str, Any]:
    """The tally of a unit that is copied from a run: what it holds is counted again, no time is spent on it.

    `reused_from` is the run that made it.
    """
    return {"reused_from": run_id, **tally, "seconds": {}, "steps": {}, "peak_bytes": {}}


@dataclass
class Reused:
    """Units among many that were not made again: rows, vectors, and units by the run that made them."""

    rows: int = 0
    vectors: int = 0
    runs: Counter[str] = field(default_factory=Counter)

    def seen(self, tallies: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        """The same tallies; those of reused units are counted."""
        for one in tallies:
            if "reused_from" in one:
                self.runs[one["reused_from"]] += 1
                self.vectors += one["vectors"]
                self.rows += sum(sum(counts.values()) for counts in one["outcomes"].values())
            yield one

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        units = self.runs.total()
        return {"units": units, "rows": self.rows, "vectors": self.vectors, "from": dict(self.runs)}


def _sum(before: Directions | None, more: Mapping[str, Any]) -> Directions:
    summed = before or Directions(len(more["total"]))
    summed.total, summed.n = summed.total + np.asarray(more["total"]), summed.n + more["n"]
    return summed


@cache
def worker_id() -> str:
    """A random id of this process."""
    return uuid.uuid4().hex[:12]


def peak_bytes() -> int:
    """Largest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
