"""Linear probes at block K: how well each planted property can be read, the ceiling of any explanation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from nla_ray.demo.dataset import Example

PROPERTIES = ("topic", "item", "mood", "safety")


def probe_accuracy(
    train: tuple[torch.Tensor, Sequence[Example]], held_out: tuple[torch.Tensor, Sequence[Example]]
) -> dict[str, tuple[float, dict[str, float]]]:
    """Per property a softmax probe's held-out accuracy and recall per value, where the text has shown it."""
    return {prop: _probe(prop, train, held_out) for prop in PROPERTIES}


def _probe(
    prop: str, train: tuple[torch.Tensor, Sequence[Example]], held_out: tuple[torch.Tensor, Sequence[Example]]
) -> tuple[float, dict[str, float]]:
    x, y, values = _labelled(prop, *train, None)
    x_test, y_test, _ = _labelled(prop, *held_out, values)
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
        hit = head((x_test - mean) / std).argmax(1) == y_test
    recalls = {v: hit[y_test == k].float().mean().item() for k, v in enumerate(values)}
    return hit.float().mean().item(), recalls


def _labelled(
    prop: str, vectors: torch.Tensor, places: Sequence[Example], values: list[str] | None
) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
    rows = [i for i, place in enumerate(places) if prop in place.known]
    values = values or sorted({places[i].known[prop] for i in rows})
    return vectors[rows], torch.tensor([values.index(places[i].known[prop]) for i in rows]), values
