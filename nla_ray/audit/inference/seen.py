"""What an audit could have seen: the smallest rate and change that its tests flag in 80 % of cases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

from nla_ray.audit.inference.clusters import worth
from nla_ray.audit.inference.contrast import TESTED, Contrast
from nla_ray.audit.inference.statistics import binomial_tail, mcnemar, two_samples

POWER, PRECISE = 0.8, 1e-4


def smallest_rate(documents: int, effect: float, flags: Callable[[int], bool]) -> float | None:
    """The least rate of documents at which `flags` holds of their number in 80 % of cases; None: of none.

    `flags` is asked of numbers of documents and holds of all between two of which it holds: of nearly all
    it may not hold any more. With a design effect, documents come in bunches of that size.
    """
    most = next((n for n in _tried(documents) if flags(n)), 0)
    least = _least(most, flags)
    if least is None:
        return None
    n = worth(documents, effect)
    return _rate(min(n, -int(-least // effect)), n)


def smallest_rise(found: Contrast, alpha: float) -> float | None:
    """The least rise that a contrast flags at `alpha` in 80 % of cases, given what was before; None: none.

    In pairs: given the documents that met the rule before and do not now.
    """
    if not found.before.n or not found.after.n:
        return None
    effect = found.effect / found.balance
    n, m = (worth(count, effect) for count in (found.before.n, found.after.n))
    k = round((found.before.rate or 0.0) * n)
    level = TESTED * alpha
    return _rise_in_pairs(found.went, n, level) if found.paired else _rise(k, n, m, level)


@lru_cache(maxsize=4096)
def _rise(k: int, n: int, m: int, alpha: float) -> float | None:
    least = _least(m, lambda j: j * n > k * m and two_samples(j, m, k, n) <= alpha)
    return None if least is None else _rate(least, m) - k / n


@lru_cache(maxsize=4096)
def _rise_in_pairs(went: int, n: int, alpha: float) -> float | None:
    least = _least(n - went, lambda j: j > went and mcnemar(j, went) <= alpha)
    return None if least is None else _rate(least, n) - went / n


def _tried(n: int) -> Iterator[int]:
    """From all documents down in sixteenths, then in halves."""
    yield from (n * part // 16 for part in range(16, 1, -1))
    n //= 16
    while n:
        yield n
        n //= 2


def _least(most: int, flags: Callable[[int], bool]) -> int | None:
    """The least number from 1 to `most` of which `flags` holds, by bisection."""
    if most < 1 or not flags(most):
        return None
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if flags(middle) else (middle, high)
    return high


def _rate(least: int, n: int) -> float:
    """The rate at which at least so many of `n` are seen in 80 % of cases."""
    low, high = 0.0, 1.0
    while high - low > PRECISE * high:
        middle = (low + high) / 2
        low, high = (low, middle) if binomial_tail(least, n, middle) >= POWER else (middle, high)
    return high
