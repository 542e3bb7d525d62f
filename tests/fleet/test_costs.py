"""From busy seconds to GPU-hours, money and what of a budget is exceeded."""

from __future__ import annotations

from nla_ray.config.runner import Pool, Pools, Runner
from nla_ray.config.sweep import Budget
from nla_ray.fleet.costs import Use, cost_of, over_budget, use_of

BUSY = {"read": 1.0, "extract": 2.0, "verbalize": 10.0, "reconstruct": 4.0, "write": 1.0}


def test_use_is_by_the_gpus_of_the_worker_that_does_a_step() -> None:
    assert use_of(BUSY, Runner(), "cpu") == Use(18.0, 0.0, 18.0)
    assert use_of(BUSY, Runner(), "cuda:0") == Use(18.0, 18.0, 18.0)
    assert use_of(BUSY, Runner(name="ray", pool=Pool(gpus=0.5)), "cuda") == Use(18.0, 9.0, 9.0)
    pools = Pools(extract=Pool(gpus=1), verbalize=Pool(gpus=2), reconstruct=Pool())
    assert use_of(BUSY, Runner(name="ray", pools=pools), "cuda") == Use(18.0, 23.0, 28.0)


def test_money_needs_a_price() -> None:
    assert cost_of(Use(paid=1800), Budget()) is None
    assert cost_of(Use(paid=1800), Budget(price=3)) == 1.5


def test_what_is_exceeded_is_told() -> None:
    budget = Budget(vectors=10, gpu_hours=1, money=2, price=1, currency="EUR")
    assert over_budget(budget, vectors=10, gpu_seconds=3600, cost=2) == []
    assert over_budget(budget, vectors=11, gpu_seconds=3600 * 1.5, cost=2345.678) == [
        "11 vectors where 10 are allowed",
        "1.5 GPU-hours where 1 are allowed",
        "2,345.68 EUR where 2 are allowed",
    ]
    assert over_budget(Budget(), vectors=10**9, gpu_seconds=1e9, cost=1e9) == []
