"""Answers for joint training from Ray actors: each holds the verbalizer's engine and takes new weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch

from nla_ray.config.runner import Pool
from nla_ray.nla.engines.slots import SlotLayout
from nla_ray.nla.engines.transformers import TransformersVerbalizer
from nla_ray.nla.verbalizer import Generation, Sampling
from nla_ray.training.world import World


class RolloutActor:
    """One engine, on the GPU that Ray gives the actor, else on its cores."""

    def __init__(
        self,
        directory: Path,
        layout: SlotLayout,
        dtype: torch.dtype,
        template_from: Path | None,
        threads: int,
    ) -> None:
        torch.set_num_threads(threads)
        device = "cuda" if torch.cuda.is_available() and ray.get_gpu_ids() else "cpu"
        self._engine = TransformersVerbalizer(
            directory, dtype=dtype, device=device, layout=layout, template_from=template_from
        )

    def update(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Take the weights of the verbalizer that trains."""
        self._engine.load_weights(weights)

    def sample(
        self, vectors_ND: np.ndarray, names: Sequence[str], sampling: Sampling, samples: int
    ) -> list[Generation]:
        """See `Sampler`."""
        return self._engine.generate(vectors_ND, names, sampling, samples=samples)


class RemoteSampler:
    """A `Sampler` of a rank's share of the actors. An actor that dies ends the attempt of its rank.

    An answer depends on its vector, name and the sampling alone, not on the actor that makes it.
    """

    def __init__(
        self,
        pool: Pool,
        world: World,
        directory: Path,
        layout: SlotLayout,
        dtype: torch.dtype,
        template_from: Path | None = None,
    ) -> None:
        """Every rank has as many actors, at least one; they must be able to read the directories."""
        actor: Any = ray.remote(RolloutActor).options(num_cpus=pool.cpus, num_gpus=pool.gpus)
        threads = pool.threads or max(1, math.floor(pool.cpus))
        self._actors = [
            actor.remote(directory, layout, dtype, template_from, threads)
            for _ in range(max(1, pool.actors // world.size))
        ]

    def update(self, weights: Mapping[str, torch.Tensor]) -> None:
        """See `Sampler`."""
        there = ray.put(dict(weights))
        ray.get([actor.update.remote(there) for actor in self._actors])

    def sample(
        self, vectors_ND: np.ndarray, names: Sequence[str], sampling: Sampling, samples: int
    ) -> list[Generation]:
        """See `Sampler`: contiguous shares of the vectors, one per actor."""
        ends = np.linspace(0, len(names), len(self._actors) + 1).astype(int)
        parts = [slice(first, last) for first, last in pairwise(ends)]
        asked = [
            actor.sample.remote(vectors_ND[part], list(names[part]), sampling, samples)
            for actor, part in zip(self._actors, parts, strict=True)
        ]
        return [answer for answers in ray.get(asked) for answer in answers]
