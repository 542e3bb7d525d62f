"""Linear probes at block K: how well each planted property can be read, the ceiling of any explanation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from nla_ray.demo import world
from nla_ray.demo.dataset import Example

Places = tuple[torch.Tensor, Sequence[Example]]
"""Activations [N, D] and what is planted at each."""

PROPERTIES = ("topic", "item", "mood", "safety")


@dataclass(frozen=True)
class Probe:
    """How well one property is read from held-out activations: in all, and per value that occurs in them."""

    accuracy: float
    recall: dict[str, float]


def fit_probes(train: Places, held_out: Places) -> dict[str, Probe]:
    """A softmax probe per property, fitted and judged where the text has already shown the property."""
    return {prop: _fit(prop, train, held_out) for prop in PROPERTIES}


def _fit(prop: str, train: Places, held_out: Places) -> Probe:
    values = world.values(prop)
    x, y = _labelled(prop, values, *train)
    x_test, y_test = _labelled(prop, values, *held_out)
    mean, std = x.mean(0), x.std(0) + 1e-6
    head = torch.nn.Linear(x.shape[1], len(values))
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(head((x - mean) / std), y) + 1e-4 * head.weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        hit = (head((x_test - mean) / std).argmax(1) == y_test).float()
    recall = {value: hit[y_test == k].mean().item() for k, value in enumerate(values) if (y_test == k).any()}
    return Probe(hit.mean().item(), recall)


def _labelled(
    prop: str, values: list[str], vectors: torch.Tensor, places: Sequence[Example]
) -> tuple[torch.Tensor, torch.Tensor]:
    rows = [i for i, place in enumerate(places) if prop in place.known]
    return vectors[rows], torch.tensor([values.index(places[i].known[prop]) for i in rows])
