"""Answers to train on: drawn by the verbalizer's engine, judged, and laid out as tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from nla_ray.nla.engines.transformers import TransformersVerbalizer
from nla_ray.nla.outcomes import Explanation, judge
from nla_ray.nla.verbalizer import Generation, Sampling


class Sampler(Protocol):
    """Draws answers with weights that it was last given."""

    def update(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Take the verbalizer's weights, named as in its checkpoint."""
        ...

    def sample(
        self, vectors_ND: np.ndarray, names: Sequence[str], sampling: Sampling, samples: int
    ) -> list[Generation]:
        """`samples` answers to each raw vector, vector by vector; name and seed make an answer."""
        ...


class LocalSampler:
    """The engine in the learner's own process, on its own device."""

    def __init__(self, verbalizer: TransformersVerbalizer) -> None:
        self.verbalizer = verbalizer

    def update(self, weights: Mapping[str, torch.Tensor]) -> None:
        """See `Sampler`. Raises EngineError for weights of another model."""
        self.verbalizer.load_weights(weights)

    def sample(
        self, vectors_ND: np.ndarray, names: Sequence[str], sampling: Sampling, samples: int
    ) -> list[Generation]:
        """See `Sampler`."""
        return self.verbalizer.generate(vectors_ND, names, sampling, samples=samples)


@dataclass(frozen=True)
class Rollout:
    """B answers: `samples` to each of the vectors, in their order."""

    judged: list[Explanation]
    tokens_BT: torch.Tensor
    lengths_B: torch.Tensor
    sampled_BT: torch.Tensor
    """Log-probability of each token when it was drawn; 0 at padding."""

    @property
    def texts(self) -> list[str]:
        """What the AR reads."""
        return [one.text for one in self.judged]

    @property
    def finished_B(self) -> torch.Tensor:
        """Answers with text that closed their tag and stopped by themselves."""
        return torch.tensor(
            [one.closed and one.finish_reason == "stop" and bool(one.text) for one in self.judged]
        )

    def share(self, outcome: str) -> float:
        """Share of answers with this outcome."""
        return sum(one.outcome == outcome for one in self.judged) / len(self.judged)

    @property
    def cjk(self) -> float:
        """Share of answers in Chinese, Japanese or Korean."""
        return sum("cjk" in one.flags for one in self.judged) / len(self.judged)


def draw(
    sampler: Sampler, vectors_ND: np.ndarray, names: Sequence[str], sampling: Sampling, samples: int
) -> Rollout:
    """Sample and judge; every vector must be usable (finite, not zero)."""
    found = sampler.sample(vectors_ND, names, sampling, samples)
    lengths_B = torch.tensor([len(one.token_ids) for one in found])
    shape = len(found), int(lengths_B.max())
    tokens_BT, sampled_BT = torch.zeros(shape, dtype=torch.int64), torch.zeros(shape)
    for row, one in enumerate(found):
        tokens_BT[row, : len(one.token_ids)] = torch.tensor(one.token_ids)
        sampled_BT[row, : len(one.logps)] = torch.tensor(one.logps)
    return Rollout([judge(one) for one in found], tokens_BT, lengths_B, sampled_BT)
