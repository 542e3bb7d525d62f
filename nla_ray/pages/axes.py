"""Axes of plots: where a number lies between left and right, in percent of the width."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

SPAN = 40.0
"""Rates further apart than this factor are drawn on a logarithmic axis."""
GUTTER = 12.0
"""Percent of a logarithmic axis's width that stand for zero."""


@dataclass(frozen=True)
class Axis:
    """An axis from `low` to `high`; a logarithmic one has a place for zero at its left."""

    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False

    def at(self, value: float) -> float:
        """Percent of the width from the left, 0 to 100."""
        if not self.log:
            return _percent((value - self.low) / (self.high - self.low))
        if value < self.low:
            return 0.0
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return _percent(GUTTER / 100 + share * (1 - GUTTER / 100))


def rate_axis(rates: Iterable[float | None], bounds: Iterable[float | None]) -> Axis:
    """An axis for rates and their intervals' ends, from zero; logarithmic where rates span over `SPAN`."""
    positive = [rate for rate in rates if rate]
    top = max([bound for bound in bounds if bound is not None] + positive, default=0.01) or 0.01
    if positive and max(positive) / min(positive) > SPAN:
        return _log_axis(min(positive), top)
    step = _step(top)
    steps = math.ceil(top / step - 1e-9)
    high = min(1.0, steps * step)
    return Axis(0.0, high, tuple(_clean(step * i) for i in range(steps + 1) if step * i <= high + 1e-12))


def change_axis(bounds: Iterable[float | None]) -> Axis:
    """An axis for changes and their intervals' ends, with zero in the middle."""
    top = max((abs(bound) for bound in bounds if bound is not None), default=0.01) or 0.01
    step = _step(top, 3)
    steps = math.ceil(top / step - 1e-9)
    return Axis(-steps * step, steps * step, tuple(_clean(step * i) for i in range(-steps, steps + 1)))


def span_axis(bounds: Iterable[float | None]) -> Axis:
    """An axis in few steps for means and their intervals' ends; it ends at 0 or above."""
    known = [bound for bound in bounds if bound is not None]
    low, high = min(known, default=0.0), max([*known, 0.0], default=1.0)
    step = _step(max(high - low, 0.01), 4)
    first = math.floor(low / step + 1e-9)
    last = max(math.ceil(high / step - 1e-9), first + 1)
    return Axis(first * step, last * step, tuple(_clean(step * at) for at in range(first, last + 1)))


def _log_axis(smallest: float, top: float) -> Axis:
    """From the power of ten below the smallest rate."""
    first, last = math.floor(math.log10(smallest)), math.floor(math.log10(top))
    high = next(10.0**last * factor for factor in (1, 2, 5, 10) if 10.0**last * factor >= top * (1 - 1e-9))
    powers = [10.0**power for power in range(first, last + 1)]
    ends = [high] if high > 3 * powers[-1] else []
    return Axis(powers[0], high, tuple(_clean(tick) for tick in (0.0, *powers, *ends)), log=True)


def _step(top: float, most: int = 5) -> float:
    """The smallest of 1, 2, 5 times a power of ten that reaches `top` in at most so many steps."""
    power = 10.0 ** math.floor(math.log10(top / most))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor * most >= top * (1 - 1e-9))


def _clean(value: float) -> float:
    return float(f"{value:.6g}")


def _percent(share: float) -> float:
    return round(100 * min(1.0, max(0.0, share)), 2)
