"""Losses against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from nla_ray.training.losses import bag_loss, inverse_document_frequency, mse_rows


def test_document_frequency_weighs_rare_tokens_and_ignores_those_of_every_row() -> None:
    weights = inverse_document_frequency([[0, 1, 1], [0, 2], [0, 1]], vocab=4)
    assert weights.tolist() == pytest.approx([0.0, math.log(3 / 2), math.log(3), 0.0])


def bag(ids: list[int], length: int, at: int, weights: list[float], horizon: int = 2) -> list[float]:
    """The bag at one position, read from the gradient that it leaves on flat logits."""
    shares = []
    for token in range(len(weights)):
        logits = torch.zeros(1, len(ids), len(weights), requires_grad=True)
        loss = bag_loss(logits, torch.tensor([ids]), torch.tensor([length]), horizon, torch.tensor(weights))
        loss.backward()
        # d loss / d logit = (p - share) / positions, p uniform
        positions = sum(
            any(weights[t] for t in ids[i + 1 : min(i + 1 + horizon, length)]) for i in range(len(ids))
        )
        shares.append(1 / len(weights) - logits.grad[0, at, token].item() * positions if positions else 0.0)
    return shares


@pytest.mark.parametrize(
    ("at", "shares"),
    [(0, [0.0, 0.5, 0.5, 0.0]), (1, [0.0, 0.5, 0.5, 0.0]), (2, [0.0, 1.0, 0.0, 0.0])],
)
def test_the_bag_is_the_next_tokens_inside_the_row(at: int, shares: list[float]) -> None:
    assert bag([0, 1, 2, 1, 3], 4, at, [1.0] * 4) == pytest.approx(shares, abs=1e-6)


def test_the_bag_follows_the_weights() -> None:
    assert bag([0, 1, 2], 3, 0, [1.0, 1.0, 3.0]) == pytest.approx([0.0, 0.25, 0.75], abs=1e-6)


def test_positions_without_a_bag_do_not_count() -> None:
    logits = torch.tensor([[[0.0, math.log(3)], [100.0, 0.0], [0.0, 100.0]]])
    ids, lengths = torch.tensor([[1, 0, 0]]), torch.tensor([2])
    assert bag_loss(logits, ids, lengths, 2, torch.ones(2)).item() == pytest.approx(-math.log(1 / 4))


def test_mse_of_a_row_is_two_minus_two_cosines() -> None:
    predicted = torch.tensor([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0], [1.0, 1.0]])
    found = mse_rows(predicted, torch.tensor([[5.0, 0.0]] * 4))
    assert found.tolist() == pytest.approx([0.0, 2.0, 4.0, 2 - math.sqrt(2)])
