"""Losses against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from nla_ray.training.losses import bag_loss, bag_targets, inverse_document_frequency, mse_nrm, next_token_loss


def test_next_token_loss_skips_masked_labels_and_looks_one_ahead() -> None:
    logits = torch.zeros(1, 3, 4)
    logits[0, 0, 2] = math.log(5)  # p(2) = 5/8 for the token after the first
    assert next_token_loss(logits, torch.tensor([[1, 2, -100]])).item() == pytest.approx(-math.log(5 / 8))


def test_document_frequency_weighs_rare_tokens_and_ignores_those_of_every_row() -> None:
    weights = inverse_document_frequency([[0, 1, 1], [0, 2], [0, 1]], vocab=4)
    assert weights.tolist() == pytest.approx([0.0, math.log(3 / 2), math.log(3), 0.0])


def test_bag_targets_are_shares_of_the_next_tokens_inside_the_row() -> None:
    ids, lengths = torch.tensor([[0, 1, 2, 1, 3]]), torch.tensor([4])
    bags = bag_targets(ids, lengths, 2, torch.ones(4))
    assert bags[0].tolist() == [
        [0.0, 0.5, 0.5, 0.0],
        [0.0, 0.5, 0.5, 0.0],
        [0.0, 1.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 0.0],  # nothing of the row follows
        [0.0, 0.0, 0.0, 0.0],  # padding
    ]


def test_bag_targets_follow_the_weights() -> None:
    bags = bag_targets(torch.tensor([[0, 1, 2]]), torch.tensor([3]), 2, torch.tensor([1.0, 1.0, 3.0]))
    assert bags[0, 0].tolist() == pytest.approx([0.0, 0.25, 0.75])


def test_bag_loss_averages_over_positions_that_have_a_bag() -> None:
    targets = torch.tensor([[[0.5, 0.5], [0.0, 0.0]]])
    logits = torch.tensor([[[0.0, math.log(3)], [100.0, 0.0]]])
    wanted = -(0.5 * math.log(1 / 4) + 0.5 * math.log(3 / 4))
    assert bag_loss(logits, targets).item() == pytest.approx(wanted)


@pytest.mark.parametrize(("other", "wanted"), [([2.0, 0.0], 0.0), ([0.0, 3.0], 2.0), ([-1.0, 0.0], 4.0)])
def test_mse_nrm_is_two_times_one_minus_cosine(other: list[float], wanted: float) -> None:
    assert mse_nrm(torch.tensor([other]), torch.tensor([[5.0, 0.0]])).item() == pytest.approx(wanted)
