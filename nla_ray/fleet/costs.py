"""What work costs: from the busy seconds of workers to GPU-hours and money."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nla_ray.config.base import Config
from nla_ray.config.runner import Pool, Runner
from nla_ray.config.sweep import Budget

HOUR = 3600.0


@dataclass(frozen=True)
class Use:
    """Seconds of workers, of their GPUs, and those that are paid for."""

    busy: float = 0.0
    gpu: float = 0.0
    paid: float = 0.0

    def times(self, factor: float) -> Use:
        """So many times as much."""
        return Use(self.busy * factor, self.gpu * factor, self.paid * factor)


class Throughput(Config):
    """What a vector of a model was measured to cost; kept for whoever plans next."""

    busy_seconds: float
    gpu_seconds: float
    paid_seconds: float
    said: str
    """The same in words, with where it was measured."""

    @classmethod
    def of(cls, use: Use, said: str) -> Throughput:
        """The use of one vector."""
        return cls(busy_seconds=use.busy, gpu_seconds=use.gpu, paid_seconds=use.paid, said=said)

    def use(self) -> Use:
        """The use of one vector."""
        return Use(self.busy_seconds, self.gpu_seconds, self.paid_seconds)


def use_of(busy: Mapping[str, float], runner: Runner, device: str) -> Use:
    """The use that busy seconds by step amount to, on these actors; `device` counts in one process."""
    parts = [(seconds, gpus_of(step, runner, device)) for step, seconds in busy.items()]
    return Use(
        sum(seconds for seconds, _ in parts),
        sum(seconds * gpus for seconds, gpus in parts),
        sum(seconds * (gpus or 1.0) for seconds, gpus in parts),
    )


def gpus_of(step: str, runner: Runner, device: str) -> float:
    """GPUs of the worker that does a step."""
    if runner.name == "local":
        return 1.0 if device.startswith("cuda") else 0.0
    return _pool(step, runner).gpus


def _pool(step: str, runner: Runner) -> Pool:
    pools = runner.pools
    if pools is None:
        return runner.pool
    return {"read": pools.extract, "extract": pools.extract, "verbalize": pools.verbalize}.get(
        step, pools.reconstruct
    )


def cost_of(use: Use, budget: Budget) -> float | None:
    """Money; None where no price is said."""
    return None if budget.price is None else use.paid / HOUR * budget.price


def over_budget(budget: Budget, *, vectors: int, gpu_seconds: float, cost: float) -> list[str]:
    """What of a budget is exceeded, each in words."""
    limits: Iterable[tuple[str, float | None, float]] = (
        ("vectors", budget.vectors, vectors),
        ("GPU-hours", budget.gpu_hours, gpu_seconds / HOUR),
        (budget.currency, budget.money, cost),
    )
    return [
        f"{found:,.10g} {what} where {limit:,.10g} are allowed"
        for what, limit, found in ((what, limit, round(found, 2)) for what, limit, found in limits)
        if limit is not None and found > limit
    ]
