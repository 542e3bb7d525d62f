"""Answers of actors are those of an engine in this process, before and after they are given weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from nla_ray.config.runner import Pool
from nla_ray.nla.engines.slots import SlotLayout
from nla_ray.nla.engines.transformers import TransformersVerbalizer
from nla_ray.nla.verbalizer import Sampling
from nla_ray.runtime.rollouts import RemoteSampler
from nla_ray.training.models import load_av
from nla_ray.training.reinforce.rollout import LocalSampler
from nla_ray.training.world import World

NlaDirs = tuple[Path, Path, Path]


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_actors_answer_as_the_learner_would(nla: Callable[[str], NlaDirs]) -> None:
    _, av, _ = nla("qwen2")
    layout, sampling = SlotLayout(slots=4), Sampling(max_new_tokens=8, logps=True)
    here = LocalSampler(TransformersVerbalizer(av, layout=layout))
    there = RemoteSampler(Pool(actors=2, cpus=0.5), World(), av, layout, torch.float32)
    vectors = np.random.default_rng(0).standard_normal((5, 32)).astype(np.float32)
    names = [f"row-{row}" for row in range(5)]
    weights = {name: tensor + 0.02 for name, tensor in load_av(av).lm.state_dict().items()}
    before = here.sample(vectors, names, sampling, 2)
    for sampler in (here, there):
        sampler.update(weights)
    mine, theirs = (sampler.sample(vectors, names, sampling, 2) for sampler in (here, there))
    assert [one.token_ids for one in mine] == [one.token_ids for one in theirs]
    assert [one.row_id for one in theirs] == [name for name in names for _ in range(2)]
    assert [one.logps for one in mine] != [one.logps for one in before]
