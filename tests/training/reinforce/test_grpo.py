"""GRPO's pure functions against values computed by hand."""

from __future__ import annotations

import math

import pytest
import torch

from nla_ray.training.reinforce import grpo

YES, NO = True, False


def close(found: torch.Tensor, wanted: list[object]) -> None:
    torch.testing.assert_close(found, torch.tensor(wanted), rtol=1e-5, atol=1e-6)


def test_unfinished_answers_earn_what_an_orthogonal_vector_would() -> None:
    errors, others = torch.tensor([0.5, 0.1]), torch.tensor([1.5, 1.5])
    finished, lengths = torch.tensor([YES, NO]), torch.tensor([10, 20])
    close(grpo.reward(errors, others, finished, lengths), [-0.5, -2.0])
    close(grpo.reward(errors, others, finished, lengths, log=True), [math.log(2), -math.log(2)])


def test_contrast_takes_away_what_another_activation_would_earn() -> None:
    errors, others = torch.tensor([0.5, 1.5, 0.3]), torch.tensor([1.5, 1.5, 0.3])
    finished, lengths = torch.tensor([YES, YES, NO]), torch.tensor([1, 1, 1])
    close(grpo.reward(errors, others, finished, lengths, contrast=1.0), [1.0, 0.0, 0.0])
    close(grpo.reward(errors, others, finished, lengths, contrast=0.5), [0.25, -0.75, -1.0])


def test_each_token_costs_its_penalty() -> None:
    found = grpo.reward(
        torch.tensor([0.5]), torch.tensor([0.0]), torch.tensor([YES]), torch.tensor([40]), length_penalty=0.01
    )
    close(found, [-0.9])


def test_advantages_are_standard_scores_within_a_group() -> None:
    close(grpo.advantages(torch.tensor([[1.0, 3.0], [-5.0, -1.0]])), [[-1.0, 1.0], [-1.0, 1.0]])
    # Mean 2, deviations -2, -1, 0, 3; variance (4 + 1 + 0 + 9) / 4 = 3.5.
    root = math.sqrt(3.5)
    close(grpo.advantages(torch.tensor([[0.0, 1.0, 2.0, 5.0]])), [[-2 / root, -1 / root, 0.0, 3 / root]])


def test_a_group_that_agrees_teaches_nothing() -> None:
    close(grpo.advantages(torch.tensor([[0.7, 0.7, 0.7]])), [[0.0, 0.0, 0.0]])


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss"),
    [
        (1.0, 2.0, -2.0),
        (1.1, 2.0, -2.2),
        (1.5, 2.0, -2.4),  # clipped at 1.2
        (0.5, 2.0, -1.0),  # the smaller one counts: no clipping
        (1.5, -2.0, 3.0),  # as above, for a bad answer
        (0.5, -2.0, 1.6),  # clipped at 0.8
    ],
)
def test_policy_loss_is_the_clipped_surrogate(ratio: float, advantage: float, loss: float) -> None:
    logp, sampled = torch.tensor([[math.log(ratio) - 1.0]]), torch.tensor([[-1.0]])
    close(grpo.policy_loss(logp, sampled, torch.tensor([advantage]), clip=0.2), [[loss]])


def test_on_policy_the_gradient_is_minus_the_advantage() -> None:
    logp = torch.tensor([[-1.0, -2.0], [-0.5, -0.1]], requires_grad=True)
    grpo.policy_loss(logp, logp.detach(), torch.tensor([2.0, -3.0])).sum().backward()
    close(logp.grad, [[-2.0, -2.0], [3.0, 3.0]])


def test_clipped_tokens_have_no_gradient() -> None:
    logp = torch.tensor([[0.0]], requires_grad=True)
    grpo.policy_loss(logp, torch.tensor([[-1.0]]), torch.tensor([1.0])).sum().backward()
    close(logp.grad, [[0.0]])


def test_kl_is_the_k3_estimator() -> None:
    close(grpo.kl(torch.tensor([[-1.0, -1.0]]), torch.tensor([[-1.0, -3.0]])), [[0.0, math.exp(-2) + 1]])


def test_the_mean_of_kl_over_draws_is_the_divergence() -> None:
    p, q = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.2, 0.5, 0.3])
    expected = (p * (p / q).log()).sum()
    torch.testing.assert_close((p * grpo.kl(p.log()[None], q.log()[None])[0]).sum(), expected)


def test_kl_loss_is_half_the_squared_difference() -> None:
    close(grpo.kl_loss(torch.tensor([[-1.0, -1.0]]), torch.tensor([[-1.0, -4.0]])), [[0.0, 4.5]])


def test_its_gradient_on_average_over_draws_is_that_of_the_divergence() -> None:
    reference = torch.tensor([0.6, 0.39, 0.01]).log()
    logits = torch.tensor([0.1, -0.4, 0.3], requires_grad=True)
    p = logits.log_softmax(0)
    exact = torch.autograd.grad((p.exp() * (p - reference)).sum(), logits, retain_graph=True)[0]
    drawn = (p.exp().detach() * grpo.kl_loss(p[None], reference[None])[0]).sum()
    torch.testing.assert_close(torch.autograd.grad(drawn, logits)[0], exact)


def test_inside_marks_the_tokens_of_an_answer() -> None:
    assert grpo.inside(torch.tensor([1, 3]), 3).tolist() == [[YES, NO, NO], [YES, YES, YES]]
