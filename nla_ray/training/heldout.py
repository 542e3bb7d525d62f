"""Held-out fidelity while training: answers of the engine that decodes later, read by a reconstructor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from nla_ray.nla.reconstruction import fidelity
from nla_ray.nla.reconstruction.fidelity import Baseline, Directions
from nla_ray.nla.verbalizer import Sampling
from nla_ray.training.data import Floats, Split
from nla_ray.training.loop.learner import FVE, Metrics
from nla_ray.training.reinforce.rollout import Sampler, draw
from nla_ray.training.world import World

Wide = npt.NDArray[np.float64]

BASELINE_ROWS = 100_000
"""So many rows at most make the denominator: its error is below 1 % from a few thousand on."""


class Reads(Protocol):
    """A reconstructor."""

    def reconstruct(self, texts: list[str]) -> npt.NDArray[np.float32]:
        """Texts to vectors [n, D]."""
        ...


Interval = Callable[[Wide, Wide], tuple[float, float]]
"""Of a mean over rows, from the sum and the number of the rows of each document [documents]."""


@dataclass(frozen=True)
class HeldOut:
    """Rows that no stage trains on: raw vectors [n, D], and for each another row's, a name and a text.

    `documents` says of which document each row is; without it every row is one of its own.
    """

    vectors: Floats
    others: Floats
    names: list[str]
    texts: list[str | None]
    documents: Sequence[int] = ()
    interval: Interval | None = None

    def __len__(self) -> int:
        return len(self.names)

    def of(self, rows: Sequence[int]) -> HeldOut:
        """Some of the rows."""
        mine = list(rows)
        return replace(
            self, vectors=self.vectors[mine], others=self.others[mine],
            names=[self.names[row] for row in mine], texts=[self.texts[row] for row in mine],
            documents=[self.documents[row] for row in mine] if self.documents else (),
        )  # fmt: skip

    def part(self, rank: int, size: int) -> HeldOut:
        """A rank's share."""
        return self.of(range(len(self))[rank::size])

    def first(self, count: int) -> HeldOut:
        """The first rows."""
        return self.of(range(len(self))[:count])

    def with_text(self) -> HeldOut:
        """The rows that have a text."""
        return self.of([row for row, text in enumerate(self.texts) if text])

    def fve(self, own: Wide, other: Wide, baseline: Baseline) -> Metrics:
        """`fve_nrm` from `mse_nrm` [n] against the own vectors; `shuffled` from that against the others.

        `fve_nrm_low` and `fve_nrm_high` are its interval over `documents`, where there are several.
        """
        _, documents = np.unique(self.documents or range(len(self)), return_inverse=True)
        sums, counts = (np.bincount(documents, each).astype(np.float64) for each in (own, np.ones(len(own))))
        of = {FVE: own.mean(), "shuffled": other.mean()}
        if self.interval is not None and len(counts) > 1 and np.isfinite(own).all():
            of["fve_nrm_high"], of["fve_nrm_low"] = self.interval(sums, counts)
        found = {name: float(fidelity.fve_nrm(mse, baseline)) for name, mse in of.items()}
        return found | {"rows": float(len(self)), "documents": float(len(counts))}


def held_out_rows(split: Split, rows: int, seed: int, interval: Interval | None = None) -> HeldOut:
    """At most `rows` of the split, drawn by the seed, in the order of the table."""
    drawn = np.random.default_rng((seed, len(split))).permutation(len(split))[:rows]
    chosen = np.sort(drawn).astype(np.int64)
    others = split.others(seed)[chosen]
    names = [f"held-out-{row}" for row in chosen]
    documents = split.table["doc_id"].take(chosen).combine_chunks().dictionary_encode("encode").indices
    return HeldOut(
        split.vectors(chosen), split.vectors(others), names, split.texts(chosen), documents.to_pylist(),
        interval,
    )  # fmt: skip


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
    """`HeldOut.fve` of one answer per row with these weights; every rank generates its share.

    `unclosed`: share of answers cut off or without the closing tag; `mean_tokens` of an answer.
    """
    sampler.update(weights)
    mine = rows.part(world.rank, world.size)
    found = torch.zeros(4, len(rows), dtype=torch.float64)
    if len(mine):
        answers = draw(sampler, mine.vectors, mine.names, sampling, 1)
        read = reader.reconstruct(answers.texts)
        found[:, world.rank :: world.size] = torch.stack(
            [
                torch.from_numpy(fidelity.mse_nrm(mine.vectors, read)),
                torch.from_numpy(fidelity.mse_nrm(mine.others, read)),
                ~answers.finished_B,
                answers.lengths_B,
            ]
        )
    own, other, unclosed, tokens = world.total(found.to(world.device)).cpu().numpy()
    return rows.fve(own, other, baseline) | {
        "unclosed": float(unclosed.mean()),
        "mean_tokens": float(tokens.mean()),
    }


@torch.no_grad()
def fve_of_texts(
    predict: Callable[[list[str]], torch.Tensor], rows: HeldOut, baseline: Baseline, batch: int, world: World
) -> Metrics:
    """`HeldOut.fve` of a reconstructor on the rows' own texts, `batch` of them at once.

    `predict` reads texts as vectors [B, D]; every rank calls it equally often, some for nothing.
    """
    found = torch.zeros(2, len(rows), dtype=torch.float64)
    for first in range(0, len(rows), batch * world.size):
        mine = list(range(len(rows))[first + world.rank : first + batch * world.size : world.size])
        part = rows.of(mine or [0])
        read = predict([text or "" for text in part.texts]).float().cpu().numpy()
        if mine:
            errors = [fidelity.mse_nrm(vectors, read) for vectors in (part.vectors, part.others)]
            found[:, mine] = torch.from_numpy(np.stack(errors))
    own, other = world.total(found.to(world.device)).cpu().numpy()
    return rows.fve(own, other, baseline)
