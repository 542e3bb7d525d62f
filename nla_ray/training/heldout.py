"""Held-out fidelity while training: answers of the engine that decodes later, read by a reconstructor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from nla_ray.nla import fidelity
from nla_ray.nla.fidelity import Baseline, Directions
from nla_ray.nla.verbalizer import Sampling
from nla_ray.training.data import Floats, Split
from nla_ray.training.learner import FVE, Metrics
from nla_ray.training.rollout import Sampler, draw
from nla_ray.training.world import World

BASELINE_ROWS = 100_000
"""So many rows at most make the denominator: its error is below 1 % from a few thousand on."""


class Reads(Protocol):
    """A reconstructor."""

    def reconstruct(self, texts: list[str]) -> npt.NDArray[np.float32]:
        """Texts to vectors [n, D]."""
        ...


@dataclass(frozen=True)
class HeldOut:
    """Rows that no stage trains on: raw vectors [n, D], and for each another row's, a name and a text."""

    vectors: Floats
    others: Floats
    names: list[str]
    texts: list[str | None]

    def __len__(self) -> int:
        return len(self.names)

    def part(self, rank: int, size: int) -> HeldOut:
        """A rank's share."""
        mine = slice(rank, None, size)
        return HeldOut(self.vectors[mine], self.others[mine], self.names[mine], self.texts[mine])

    def first(self, count: int) -> HeldOut:
        """The first rows."""
        mine = slice(count)
        return HeldOut(self.vectors[mine], self.others[mine], self.names[mine], self.texts[mine])

    def with_text(self) -> HeldOut:
        """The rows that have a text."""
        rows = [row for row, text in enumerate(self.texts) if text]
        return HeldOut(
            self.vectors[rows], self.others[rows],
            [self.names[row] for row in rows], [self.texts[row] for row in rows],
        )  # fmt: skip


def held_out_rows(split: Split, rows: int, seed: int) -> HeldOut:
    """At most `rows` of the split, drawn by the seed, in the order of the table."""
    drawn = np.random.default_rng((seed, len(split))).permutation(len(split))[:rows]
    chosen = np.sort(drawn).astype(np.int64)
    others = split.others(seed)[chosen]
    names = [f"held-out-{row}" for row in chosen]
    return HeldOut(split.vectors(chosen), split.vectors(others), names, split.texts(chosen))


def baseline_of(split: Split) -> Baseline:
    """Var(v_nrm) of a split's vectors, every k-th where there are many: the denominator of `fve_nrm`."""
    step = max(1, len(split) // BASELINE_ROWS)
    rows = np.arange(0, len(split), step)
    seen = Directions(split.d_model)
    for first in range(0, len(rows), 4096):
        seen.add(split.vectors(rows[first : first + 4096]))
    return Baseline(seen.variance_nrm(), f"split {split.name} of {split.url}", seen.n)


def fve_of_answers(
    sampler: Sampler,
    weights: Mapping[str, torch.Tensor],
    reader: Reads,
    rows: HeldOut,
    baseline: Baseline,
    sampling: Sampling,
    world: World,
) -> Metrics:
    """`fve_nrm` of one answer per row with these weights; every rank generates its share.

    `shuffled`: of the same answers for other rows' vectors; `unclosed`: share of answers cut off or without
    the closing tag; `mean_tokens` of an answer.
    """
    sampler.update(weights)
    mine = rows.part(world.rank, world.size)
    sums = torch.zeros(5, dtype=torch.float64)
    if len(mine):
        answers = draw(sampler, mine.vectors, mine.names, sampling, 1)
        read = reader.reconstruct(answers.texts)
        sums = torch.tensor(
            [
                float(fidelity.mse_nrm(mine.vectors, read).sum()),
                float(fidelity.mse_nrm(mine.others, read).sum()),
                float((~answers.finished_B).sum()), float(answers.lengths_B.sum()), len(mine),
            ],
            dtype=torch.float64,
        )  # fmt: skip
    own, other, unclosed, tokens, count = world.total(sums.to(world.device)).tolist()
    return {
        FVE: float(fidelity.fve_nrm(own / count, baseline)),
        "shuffled": float(fidelity.fve_nrm(other / count, baseline)),
        "unclosed": unclosed / count,
        "mean_tokens": tokens / count,
    }
