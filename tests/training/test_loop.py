"""The training loop's schedule, and that it descends."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from nla_ray.training.loop import cosine, fit


def test_schedule_warms_up_then_falls_to_a_twentieth() -> None:
    factors = [cosine(step, 100, 10) for step in range(101)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == factors[9] == 1.0
    assert factors[100] == pytest.approx(0.05)
    assert all(a >= b for a, b in pairwise(factors[10:]))


def test_fit_descends_and_reports_every_step() -> None:
    weight = torch.nn.Parameter(torch.tensor([3.0]))
    reported: list[tuple[int, float]] = []
    losses = fit(
        [weight], lambda _: weight.square().sum(), steps=40, lr=0.2, report=lambda *now: reported.append(now)
    )
    assert losses[0] == pytest.approx(9.0) and losses[-1] < 1.0
    assert reported == list(enumerate(losses))
