"""Probes read what is there linearly, and nothing else."""

from __future__ import annotations

import torch

from nla_ray.demo.dataset import Example
from nla_ray.demo.recipe.probe import Probe
from nla_ray.demo.vocabulary import values


def data(seed: int, n: int, strength: float) -> tuple[torch.Tensor, list[Example]]:
    generator = torch.Generator().manual_seed(seed)
    moods = values("mood")
    which = torch.randint(len(moods), (n,), generator=generator)
    vectors = torch.randn(n, 16, generator=generator)
    vectors[torch.arange(n), which] += strength
    return vectors, [Example(0, i, "", {"mood": moods[k]}) for i, k in enumerate(which.tolist())]


def test_a_planted_direction_is_read() -> None:
    reading = Probe("mood", data(0, 600, 8.0)).read(data(1, 300, 8.0))
    assert reading.accuracy > 0.98
    assert set(reading.recall) == set(values("mood"))


def test_noise_reads_at_chance() -> None:
    assert 0.2 < Probe("mood", data(0, 600, 0.0)).read(data(1, 600, 0.0)).accuracy < 0.46


def test_places_that_have_not_shown_the_property_do_not_count() -> None:
    vectors, places = data(0, 600, 8.0)
    hidden = [Example(0, i, "", {}) for i in range(100)]
    probe = Probe("mood", (torch.cat([vectors, torch.full((100, 16), 50.0)]), [*places, *hidden]))
    assert probe.read(data(1, 300, 8.0)).accuracy > 0.98
