"""Precision and recall of a detector from verdicts on a stratified sample, with documents as clusters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nla_ray.audit.inference.clusters import by_family, numbered
from nla_ray.audit.review.draw import NEAR_MISSES
from nla_ray.audit.review.labels import VERDICTS
from nla_ray.config.detectors.model import Estimate, Validation
from nla_ray.intervals import Floats, Interval, clustered_wilson


@dataclass(frozen=True)
class Judged:
    """An explanation of a detector's sample, and what its reviewers say together."""

    hit: str
    detector: str
    stratum: str
    strata: Mapping[str, int]
    """How many explanations each stratum has, among real ones or among controls as this one."""
    real: bool
    family: str
    verdict: str


@dataclass(frozen=True)
class Precision:
    """What a review says of a detector. Counts are of explanations that all reviewers together can tell."""

    detector: str
    true: int
    false: int
    """Hits among real explanations that make the claim, and that do not."""
    missed: int
    rightly: int
    """The same of explanations that are no hits."""
    unclear: int
    precision: Estimate | None
    """Of real hits; null: none was judged."""
    recall: Estimate | None
    """Of hits and near misses; null: no hit is true, there is no near miss, or a kind was not judged."""
    elsewhere: tuple[int, int]
    """Explanations that hold no word of the detector: that make the claim all the same, of those judged."""
    controls: tuple[int, int]
    """Hits of control rows: true, of those judged."""

    def validation(self, source: str) -> Validation:
        """The block of a detector pack."""
        return Validation(
            tp=self.true, fp=self.false, tn=self.rightly, fn=self.missed,
            precision=self.precision, recall=self.recall, source=source,
        )  # fmt: skip


def together(verdicts: Iterable[str]) -> str:
    """What several reviewers say of one explanation: what more than half of them say, else unclear."""
    said = list(verdicts)
    return next((one for one in VERDICTS if 2 * said.count(one) > len(said)), "unclear")


def precision_of(detector: str, judged: Sequence[Judged]) -> Precision:
    """Precision and recall of one detector; `judged` are its own, of one sample."""
    clear = [one for one in judged if one.verdict != "unclear"]
    real = [one for one in clear if one.real]
    hits = [one for one in real if one.stratum == "hit"]
    others = [one for one in real if one.stratum != "hit"]
    true, missed = _true(hits), _true(others)
    precision = None if not hits else _estimate(true / len(hits), *clustered_wilson(*_counts(hits)))
    return Precision(
        detector=detector, true=true, false=len(hits) - true, missed=missed, rightly=len(others) - missed,
        unclear=len(judged) - len(clear), precision=precision, recall=_recall(judged, hits, precision),
        elsewhere=_of([one for one in real if one.stratum == "elsewhere"]),
        controls=_of([one for one in clear if not one.real and one.stratum == "hit"]),
    )  # fmt: skip


def _recall(judged: Sequence[Judged], hits: Sequence[Judged], precision: Estimate | None) -> Estimate | None:
    """True hits over all true ones; the ends are those of precision and of the misses at once: cautious."""
    if precision is None or not precision.rate:
        return None
    sizes = hits[0].strata
    of = sizes["hit"]
    near = [name for name in NEAR_MISSES if name in sizes]
    groups = [
        [one for one in judged if one.real and one.stratum == name and one.verdict != "unclear"]
        for name in near
    ]
    if not near or not all(groups):
        return None
    rows = [sizes[name] for name in near]
    rates = [_true(group) / len(group) for group in groups]
    missed, (low, high) = _total(rows, rates, [clustered_wilson(*_counts(group)) for group in groups])
    return _estimate(
        of * precision.rate / (of * precision.rate + missed),
        of * precision.low / (of * precision.low + high) if precision.low else 0.0,
        of * precision.high / (of * precision.high + low),
    )


def _total(
    rows: Sequence[int], rates: Sequence[float], intervals: Sequence[Interval]
) -> tuple[float, Interval]:
    """Rows times rates over strata, with an interval from theirs (MOVER; Zou and Donner 2008)."""
    found = list(zip(rows, rates, intervals, strict=True))
    total = sum(n * rate for n, rate, _ in found)
    down = sum((n * (rate - ends.low)) ** 2 for n, rate, ends in found) ** 0.5
    up = sum((n * (ends.high - rate)) ** 2 for n, rate, ends in found) ** 0.5
    return total, Interval(max(0.0, total - down), total + up)


def _counts(judged: Sequence[Judged]) -> tuple[Floats, Floats]:
    """True and judged ones by family."""
    family = numbered(np.unique([one.family for one in judged], return_inverse=True)[1])
    true = np.array([one.verdict == "true" for one in judged])
    return by_family(true, family), by_family(np.ones(len(judged)), family)


def _true(judged: Sequence[Judged]) -> int:
    return sum(one.verdict == "true" for one in judged)


def _of(judged: Sequence[Judged]) -> tuple[int, int]:
    return _true(judged), len(judged)


def _estimate(rate: float, low: float, high: float) -> Estimate:
    return Estimate(rate=round(rate, 4), low=round(max(low, 0.0), 4), high=round(min(high, 1.0), 4))
