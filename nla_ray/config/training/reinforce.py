"""The configuration of joint reinforcement learning (GRPO) of a verbalizer with its reconstructor."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from nla_ray.config.base import Config
from nla_ray.config.runner import Share

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]


class Reward(Config):
    """What an answer earns; an unfinished one earns what a vector orthogonal to the activation would."""

    log: bool = False
    """-log(mse_nrm) in place of -mse_nrm: faster where errors are small, at the cost of the writing."""
    contrast: NotNegative = 0.0
    """Weight of the same reward for another activation, taken away: against text that fits everything."""
    length_penalty: NotNegative = 0.0
    """Taken away per token of the answer."""


class Guards(Config):
    """Limits of what answers may become; training stops when one is passed `patience` steps in a row."""

    unclosed: Share = 0.25
    """Largest share of answers that are cut off, or stop without the closing tag."""
    mean_tokens: tuple[float, float] = (8.0, 140.0)
    """Smallest and largest mean length in tokens."""
    cjk: Share = 0.25
    """Largest share of answers in Chinese, Japanese or Korean."""
    loops: Share = 0.25
    """Largest share of answers that repeat themselves."""
    gap: float = 0.05
    """Smallest `fve_nrm` of answers less that of the same answers for other activations: without a gap the
    texts fit everything."""
    ratio: Positive = 0.1
    """Largest distance of the mean importance ratio from 1: beyond it, sampler and trainer are not the same
    model, or do not inject the same."""
    patience: Count = 3


class Reinforce(Config):
    """GRPO on the verbalizer, and one step of the reconstructor on the same answers."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"micro_batch"})

    steps: Count
    vectors: Count = 16
    """Activations per step, on all workers together."""
    group: Annotated[int, Field(ge=2)] = 8
    """Answers per activation; their rewards are compared with one another."""
    av_lr: Positive = 1e-5
    ar_lr: Positive = 5e-5
    warmup: Annotated[int, Field(ge=0)] = 10
    """Steps over which both learning rates rise; then they fall as half a cosine to 5 %."""
    kl: NotNegative = 0.01
    """Weight of the KL divergence to the verbalizer that training started from."""
    clip: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Beyond this change of a token's probability nothing is gained by changing it further."""
    clip_norm: Positive = 1.0
    """Largest L2 norm of a step's gradients, for each model."""
    micro_batch: Count = 128
    """Answers in one forward and backward pass of a worker."""
    max_new_tokens: Count = 150
    """Answers end here, unfinished; answers are drawn at temperature 1."""
    reward: Reward = Reward()
    guards: Guards = Guards()
