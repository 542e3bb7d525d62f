"""What whole documents would show if their places said what a control's do: any-of-N, and tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nla_ray.audit.inference.clusters import Ints, by_family, design_effect, worth
from nla_ray.audit.inference.statistics import any_of_n, binomial_tail, either
from nla_ray.audit.tally import Hits, Population, needed
from nla_ray.config.detectors.model import Detector
from nla_ray.intervals import LEVEL, Interval, clustered_wilson

DOUBTS = (0.001, 1e-6, 1e-8)
"""Chances that a control's rate is above the bounds that tests assume; they are added to their p. The first
alone shows nothing among the tests of a sweep, the last nothing by some hundred places of a control."""

STEPS = (1.0, 1.5)
"""Strengths that are tried: the rule's times these, times powers of two."""


class Expected:
    """A detector's rate per place of a control, by families, and what follows for the real documents."""

    def __init__(self, control: Population, hits: Hits, detector: Detector, real: Population) -> None:
        self.evident = by_family(hits.evident, control.families)
        self.places = by_family(control.places, control.families)
        self._real = real
        self._sizes, self._times = np.unique(real.places, return_counts=True)
        self._shape = _shape(hits, detector)
        self._bounds = [self.upper(1 - 2 * doubt) for doubt in DOUBTS]
        self._known: dict[tuple[float, int], float] = {}

    def draw(self, rate: float) -> list[float]:
        """The chances of one place's weights 0, 1, ... at a rate per place."""
        return [1 - rate, *(rate * share for share in self._shape)]

    def upper(self, level: float = LEVEL) -> float:
        """The upper end of the interval of the rate per place."""
        return clustered_wilson(self.evident, self.places, level=level).high

    def by_document(self, k: int) -> tuple[float, Interval]:
        """The share of the real documents that would reach `k`, with its interval."""
        rate = float(self.evident.sum() / self.places.sum())
        low, high = clustered_wilson(self.evident, self.places)
        at, *ends = (self._reached(one, k) for one in (rate, low, high))
        return at, Interval(*ends)

    def exceeded(self, strengths: Ints, k: int) -> dict[int, float]:
        """P of so many documents of each strength from `k` on, if their places were like the control's.

        `strengths` [documents] are of the real ones. Several strengths are tried and paid for (Bonferroni):
        many documents that just meet the rule are evidence, and so are a few that meet it over and over.
        """
        tried = strengths_tried(k, int(strengths.max(initial=0)))
        families = self._real.families
        return {
            j: self.chance(
                int((strengths >= j).sum()),
                j,
                effect=design_effect(strengths >= j, families),
                tried=len(tried),
            )
            for j in tried
        }

    def chance(self, documents: int, k: int, *, effect: float, tried: int = 1) -> float:
        """P of so many of the real documents that reach `k`; of `tried` such tests.

        The control's rate is taken at the bound that it exceeds with one of three doubts (Berger and Boos
        1994, JASA 89:1012; see `either`). Counts are over the families' design effect.
        """
        n, of = worth(documents, effect), worth(len(self._real), effect)
        coarse, less, least = (
            binomial_tail(n, of, self._reached(bound, k)) * tried + doubt
            for bound, doubt in zip(self._bounds, DOUBTS, strict=True)
        )
        return either(coarse, min(1.0, 2 * min(less, least)))

    def _reached(self, rate: float, k: int) -> float:
        if (rate, k) not in self._known:
            chances = [any_of_n(self.draw(rate), int(size), k) for size in self._sizes]
            self._known[rate, k] = float(np.dot(chances, self._times) / max(len(self._real), 1))
        return self._known[rate, k]


def _shape(hits: Hits, detector: Detector) -> list[float]:
    """Of a place with weight: the share of each weight 1, 2, ...; without any the heaviest there is."""
    if not hits.weights:
        return [*[0.0] * (needed(detector) - 1), 1.0] if detector.recurrence.over == "rows" else [1.0]
    total = sum(hits.weights.values())
    return [hits.weights.get(weight, 0) / total for weight in range(1, max(hits.weights) + 1)]


def strengths_tried(k: int, most: int) -> Sequence[int]:
    """Strengths from `k` on, those that a document reaches."""
    tried, scale = {k}, 1
    while k * scale <= most:
        tried |= {int(np.ceil(k * scale * step)) for step in STEPS}
        scale *= 2
    return sorted(j for j in tried if j <= max(most, k))
