"""Group relative policy optimisation (GRPO) as pure functions. Shapes: G groups, N answers, B rows, T tokens.

Group advantages and the clipped surrogate: DeepSeekMath (Shao et al. 2024), equations 3 and 4, with the mean
over all tokens of the batch instead of per answer, so that long answers are not favoured. KL: the estimators
k2 and k3 of Schulman (2020). Rewards: the NLA paper (2026).
"""

from __future__ import annotations

import torch

ORTHOGONAL = 2.0
"""`mse_nrm` of a vector that is orthogonal to the activation: what an answer gets that was not finished."""


def reward(
    errors_B: torch.Tensor,
    others_B: torch.Tensor,
    finished_B: torch.Tensor,
    lengths_B: torch.Tensor,
    *,
    log: bool = False,
    contrast: float = 0.0,
    length_penalty: float = 0.0,
) -> torch.Tensor:
    """Reward [B] of answers from the `mse_nrm` of what the AR reads in them.

    -error, or -log(error) with `log`; less `contrast` times the same for another activation, which takes away
    what text that fits everything would earn; less `length_penalty` for each of `lengths_B` tokens. An answer
    that was not finished gets what an orthogonal vector would.
    """

    def earned(mse: torch.Tensor) -> torch.Tensor:
        return -torch.log(mse.clamp(min=1e-6)) if log else -mse

    orthogonal_B = torch.full_like(errors_B, ORTHOGONAL)
    own_B = earned(torch.where(finished_B, errors_B, orthogonal_B))
    other_B = earned(torch.where(finished_B, others_B, orthogonal_B))
    return own_B - contrast * other_B - length_penalty * lengths_B


def advantages(rewards_GN: torch.Tensor) -> torch.Tensor:
    """Rewards [G, N] less their group's mean, over its standard deviation (of N, not N - 1); 0 if equal."""
    centred_GN = rewards_GN - rewards_GN.mean(dim=1, keepdim=True)
    spread_G1 = rewards_GN.std(dim=1, keepdim=True, correction=0)
    return torch.where(spread_G1 > 1e-6, centred_GN / spread_G1.clamp(min=1e-6), 0.0)


def policy_loss(
    logp_BT: torch.Tensor, sampled_BT: torch.Tensor, advantages_B: torch.Tensor, clip: float = 0.2
) -> torch.Tensor:
    """Clipped surrogate per token [B, T]: -min(r A, clamp(r, 1 - clip, 1 + clip) A).

    r is the importance ratio, the probability of the token now over what it was when it was drawn.
    """
    ratio_BT, gain_B1 = torch.exp(logp_BT - sampled_BT), advantages_B[:, None]
    return -torch.minimum(ratio_BT * gain_B1, ratio_BT.clamp(1 - clip, 1 + clip) * gain_B1)


def kl_loss(logp_BT: torch.Tensor, reference_BT: torch.Tensor) -> torch.Tensor:
    """What to minimise to stay close to the reference, per drawn token [B, T]: (logp - reference)^2 / 2, k2.

    On average over own draws its gradient is that of the KL divergence. The gradient of k3, which GRPO's
    paper takes, is at most 1 however unlikely a token is under the reference: words that no reader would
    write then pay, once the AR has learnt to read them.
    """
    return (logp_BT - reference_BT).square() / 2


def kl(logp_BT: torch.Tensor, reference_BT: torch.Tensor) -> torch.Tensor:
    """KL to the reference per drawn token [B, T], to look at: exp(d) - 1 - d, d = reference - logp, k3."""
    difference_BT = reference_BT - logp_BT
    return torch.expm1(difference_BT) - difference_BT


def inside(lengths_B: torch.Tensor, steps: int) -> torch.Tensor:
    """[B, T] True at the tokens of an answer, False at its padding."""
    return torch.arange(steps, device=lengths_B.device) < lengths_B[:, None]
