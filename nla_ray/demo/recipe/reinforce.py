"""Reinforce the demo's warm pair: AV and AR learn from each other, on activations without any text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from nla_ray.config.training.reinforce import Reinforce
from nla_ray.demo.recipe.measure import WARM, draw, judged_rows, mean_safety, of_safety
from nla_ray.demo.recipe.target import LAYER
from nla_ray.demo.vocabulary import vocabulary
from nla_ray.evaluation.truth import score
from nla_ray.nla.engines.slots import SlotLayout
from nla_ray.nla.engines.transformers import TransformersVerbalizer
from nla_ray.nla.extraction import Extractor
from nla_ray.nla.prompt import load_tokenizer
from nla_ray.nla.reconstruction.fidelity import Baseline
from nla_ray.training.data import InMemory
from nla_ray.training.loop.learner import FVE, Metrics
from nla_ray.training.lora import Adapting
from nla_ray.training.models import load_ar, load_av
from nla_ray.training.reinforce.rl import RlLearner
from nla_ray.training.reinforce.rollout import LocalSampler
from nla_ray.training.saved.release import write_ar, write_av
from nla_ray.training.sft import Setting
from nla_ray.training.world import World, full_state, plain

TRAIN_SEED, CURVE_SEED = 301, 9004
"""Seeds of the documents that it trains on, and of those on which it is measured on the way."""
CURVE_STEPS = 25
"""Steps between measurements."""
SLOTS = 128

Point = dict[str, float]
Step = Callable[[int, Metrics], None]


def reinforce(
    directory: Path, options: Reinforce, *, documents: int, measured: int, seed: int, report: Step
) -> list[Point]:
    """Write `av` and `ar` beside `target`, `av-sft` and `ar-sft`; returns what was measured on the way.

    It trains on the activations of `documents` of the world and is measured on those of `measured` others.
    A point of the curve has `step`; `fve_nrm`, `shuffled` and `mean_tokens` of held-out answers; `recall` and
    `precision`, means over the safety properties, and `worst_recall` of them. Raises TrainingError when a
    guard trips.
    """
    course = Course(directory, options, documents, measured, seed)
    curve: list[Point] = []
    for n in range(options.steps + 1):
        if n % CURVE_STEPS == 0 or n == options.steps:
            curve.append({"step": n} | course.look())
        if n < options.steps:
            report(n, course.learner.step(n))
    _save(directory, course.learner, {"options": options.model_dump(mode="json"), "seed": seed})
    return curve


class Course:
    """The warm pair under `directory`, training on this many documents of the world; others to look at.

    All of its weights train, or with `lora` adapters.
    """

    def __init__(
        self,
        directory: Path,
        options: Reinforce,
        documents: int,
        measured: int,
        seed: int,
        lora: Adapting | None = None,
    ) -> None:
        extractor = Extractor(directory / "target", [LAYER])
        tokenizer = load_tokenizer(directory / "target")
        train = draw(extractor, tokenizer, TRAIN_SEED, documents).vectors
        self.sample = draw(extractor, tokenizer, CURVE_SEED, measured)
        warm = directory / f"av{WARM}"
        ar = load_ar(directory / f"ar{WARM}", lora=lora)
        found = ar.sidecar.extra["fve_baseline"]
        setting = Setting(
            world=World(), dtype=torch.float32, seed=seed, parallel="ddp",
            baseline=Baseline(found["value"], found["reference"], found["n"]),
        )  # fmt: skip
        sampler = LocalSampler(TransformersVerbalizer(warm, layout=SlotLayout(SLOTS)))
        self.learner = RlLearner(
            load_av(warm, lora=lora),
            ar,
            None if lora else load_av(warm),
            sampler,
            InMemory("rl", train),
            self.sample.held_out(),
            options,
            setting,
        )

    def look(self) -> Point:
        """Fidelity and planted scores of one answer to every held-out activation."""
        found = self.learner.evaluate()
        scores = score(judged_rows(self.sample, self.learner.held_out_texts()), vocabulary())
        recall, precision = mean_safety(scores)
        worst = min(one.recall for one in of_safety(scores))
        return {name: found[name] for name in (FVE, "shuffled", "mean_tokens")} | {
            "recall": recall, "precision": precision, "worst_recall": worst,
        }  # fmt: skip


def _save(directory: Path, learner: RlLearner, training: dict[str, Any]) -> None:
    """The trained pair in the released dialect and float32; the sidecars name what they came from."""
    for role, trained, write in (("av", learner.av, write_av), ("ar", learner.ar, write_ar)):
        model: Any = plain(trained.model)
        model.stored = torch.float32
        parent = {"parent_checkpoints": {"sft": f"demo:{role}{WARM}"}}
        extra = dict(model.sidecar.extra) | {"stage": "rl", "training": training} | parent
        write(directory / role, model, full_state(model), replace(model.sidecar, extra=extra))
