"""The learning rate's schedule, and what a step along the gradients does."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from nla_ray.training.loop.optim import Trained, adamw, cosine


def test_schedule_warms_up_then_falls_to_a_twentieth() -> None:
    factors = [cosine(step, 100, 10) for step in range(101)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == factors[9] == 1.0
    assert factors[100] == pytest.approx(0.05)
    assert all(a >= b for a, b in pairwise(factors[10:]))


def test_steps_descend_and_say_how_long_the_gradient_was() -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(model.weight, 3.0)
    trained = Trained(model, adamw(model))
    norms = []
    for _ in range(40):
        model.weight.square().sum().backward()
        norms.append(trained.move(rate=0.2, longest=1.0))
        assert model.weight.grad is None
    assert norms[0] == pytest.approx(6.0) and model.weight.item() ** 2 < 1.0


def test_no_step_is_taken_along_a_gradient_that_is_not_finite() -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    trained, before = Trained(model, adamw(model)), model.weight.item()
    (model.weight * math.inf).sum().backward()
    assert not math.isfinite(trained.move(rate=0.2, longest=1.0))
    assert model.weight.item() == before and model.weight.grad is None
