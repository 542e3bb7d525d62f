"""Reinforce the demo's warm pair: AV and AR learn from each other, on activations without any text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nla_ray.config.reinforce import Reinforce
from nla_ray.demo.measure import WARM, draw
from nla_ray.demo.target import LAYER
from nla_ray.nla.engines.slots import SlotLayout
from nla_ray.nla.engines.transformers import TransformersVerbalizer
from nla_ray.nla.extraction import Extractor
from nla_ray.nla.fidelity import Baseline
from nla_ray.nla.prompt import load_tokenizer
from nla_ray.training.heldout import HeldOut
from nla_ray.training.learner import FVE, Metrics
from nla_ray.training.models import load_ar, load_av
from nla_ray.training.release import write_ar, write_av
from nla_ray.training.rl import InMemory, RlLearner
from nla_ray.training.rollout import LocalSampler
from nla_ray.training.sft import Setting
from nla_ray.training.world import World, full_state, plain

TRAIN_SEED, CURVE_SEED = 301, 9004
"""Seeds of the documents that it trains on, and of those on which it is measured on the way."""
CURVE_DOCUMENTS, CURVE_STEPS = 125, 25

Point = dict[str, float]
Step = Callable[[int, Metrics], None]


def reinforce(directory: Path, options: Reinforce, *, documents: int, seed: int, report: Step) -> list[Point]:
    """Write `av` and `ar` beside `target`, `av-sft` and `ar-sft`; returns held-out fidelity on the way.

    A point of the curve has `step`, `fve_nrm`, `shuffled` and `mean_tokens`. Raises TrainingError when a
    guard trips.
    """
    learner = new_learner(directory, options, documents=documents, seed=seed)
    curve: list[Point] = []
    for n in range(options.steps + 1):
        if n % CURVE_STEPS == 0 or n == options.steps:
            found = learner.evaluate()
            curve.append({"step": n} | {name: found[name] for name in (FVE, "shuffled", "mean_tokens")})
        if n < options.steps:
            report(n, learner.step(n))
    _save(directory, learner, {"options": options.model_dump(mode="json"), "seed": seed})
    return curve


def new_learner(directory: Path, options: Reinforce, *, documents: int, seed: int) -> RlLearner:
    """The warm pair under `directory`, ready to train on this many documents of the world."""
    extractor = Extractor(directory / "target", [LAYER])
    tokenizer: Any = load_tokenizer(directory / "target")
    train = draw(extractor, tokenizer, TRAIN_SEED, documents).vectors
    held = draw(extractor, tokenizer, CURVE_SEED, CURVE_DOCUMENTS).vectors
    av, ar, reference = (
        load_av(directory / f"av{WARM}"), load_ar(directory / f"ar{WARM}"), load_av(directory / f"av{WARM}"),
    )  # fmt: skip
    found = ar.sidecar.extra["fve_baseline"]
    setting = Setting(
        world=World(), dtype=torch.float32, seed=seed, parallel="ddp",
        baseline=Baseline(found["value"], found["reference"], found["n"]),
    )  # fmt: skip
    slots = min(128, options.vectors * options.group)
    sampler = LocalSampler(TransformersVerbalizer(directory / f"av{WARM}", layout=SlotLayout(slots, slots)))
    others = np.roll(held, len(held) // 2, axis=0)
    names = [f"held-out-{row}" for row in range(len(held))]
    held_out = HeldOut(held, others, names, [None] * len(held))
    return RlLearner(av, ar, reference, sampler, InMemory(train), held_out, options, setting)


def _save(directory: Path, learner: RlLearner, training: dict[str, Any]) -> None:
    """The trained pair in the released dialect and float32; the sidecars name what they came from."""
    for role, trained, write in (("av", learner.av, write_av), ("ar", learner.ar, write_ar)):
        model: Any = plain(trained.model)
        model.stored = torch.float32
        parent = {"parent_checkpoints": {"sft": f"demo:{role}{WARM}"}}
        extra = dict(model.sidecar.extra) | {"stage": "rl", "training": training} | parent
        write(directory / role, model, full_state(model), replace(model.sidecar, extra=extra))
