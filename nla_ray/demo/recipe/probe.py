"""Linear probes at block K: how well each planted property can be read, the ceiling of any explanation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from nla_ray.demo.dataset import Example
from nla_ray.demo.vocabulary import values

Places = tuple[torch.Tensor, Sequence[Example]]
"""Activations [N, D] and what is planted at each."""

PROPERTIES = ("topic", "item", "mood", "safety")


@dataclass(frozen=True)
class Reading:
    """How well one property is read from held-out activations: in all, and per value that occurs in them."""

    accuracy: float
    recall: dict[str, float]


class Probe:
    """A softmax regression on standardised activations, for one property, where the text has shown it."""

    def __init__(self, prop: str, train: Places) -> None:
        self.prop, self.values = prop, values(prop)
        x, y = self._labelled(train)
        self.mean, self.std = x.mean(0), x.std(0) + 1e-6
        self.head = torch.nn.Linear(x.shape[1], len(self.values))
        optimizer = torch.optim.LBFGS(self.head.parameters(), max_iter=100, line_search_fn="strong_wolfe")

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            penalty = 1e-4 * self.head.weight.square().sum()
            loss: torch.Tensor = F.cross_entropy(self._logits(x), y) + penalty
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        optimizer.step(closure)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def read(self, held_out: Places) -> Reading:
        """Judge the probe on activations that it was not fitted to."""
        x, y = self._labelled(held_out)
        hit = (self._logits(x).argmax(1) == y).float()
        recall = {value: hit[y == k].mean().item() for k, value in enumerate(self.values) if (y == k).any()}
        return Reading(hit.mean().item(), recall)

    def _logits(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head((x - self.mean) / self.std)
        return logits

    def _labelled(self, data: Places) -> tuple[torch.Tensor, torch.Tensor]:
        vectors, places = data
        rows = [i for i, place in enumerate(places) if self.prop in place.known]
        return vectors[rows], torch.tensor([self.values.index(places[i].known[self.prop]) for i in rows])
