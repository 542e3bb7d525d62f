"""Warm start of the demo AV and AR: the stages of every training, on true explanations of the world."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from nla_ray.config.models.injection import Injection
from nla_ray.config.training.train import Supervised
from nla_ray.demo.recipe.measure import WARM, Sample
from nla_ray.demo.recipe.target import LAYER, Report
from nla_ray.demo.recipe.tokenizer import AR_TEMPLATE, AV_TEMPLATE, MARKER
from nla_ray.nla.prompt import load_tokenizer
from nla_ray.nla.reconstruction.fidelity import Baseline
from nla_ray.nla.sidecar.read import Role, Sidecar
from nla_ray.training.data import InMemory
from nla_ray.training.heldout import HeldOut
from nla_ray.training.loop.learner import Metrics
from nla_ray.training.models import new_ar, new_av
from nla_ray.training.saved.release import Prompting, new_sidecar, write_ar, write_av
from nla_ray.training.sft import Reading, Setting, Sft, Writing
from nla_ray.training.world import World, full_state


@dataclass(frozen=True)
class WarmStart:
    """What AR and AV of the pair under `directory` start from: the target, explained activations, a seed."""

    directory: Path
    sidecar: Sidecar
    sample: Sample
    held_out: HeldOut
    baseline: Baseline
    seed: int

    def train(self, role: Role, options: Supervised, report: Report) -> list[float]:
        """Write `av-sft` or `ar-sft`, in float16 to spare space; returns the losses. Raises TrainingError."""
        model: Any = (new_ar if role == "ar" else new_av)(self.directory / "target", self.sidecar)
        learner = self._learner(role, model, options)
        losses = []
        for n in range(options.steps):
            losses.append(learner.step(n)["loss"])
            report(n, losses[-1])
        model.stored = torch.float16
        extra = dict(self.sidecar.extra) | {"nla_ray": {"held_out": learner.evaluate()}}
        write: Any = write_ar if role == "ar" else write_av
        write(self.directory / f"{role}{WARM}", model, full_state(model), replace(self.sidecar, extra=extra))
        return losses

    def _learner(self, role: Role, model: Any, options: Supervised) -> Sft:
        task: Reading | Writing = Reading(model) if role == "ar" else Writing(model)
        places = self.sample.places
        said = [task.said(place.explanation) for place in places]
        examples = InMemory(f"{role}_sft", self.sample.vectors, said, [place.doc for place in places])
        setting = Setting(World(), torch.float32, self.seed, "ddp", self.baseline)
        # What a warm AV is worth is the first point of the curve of reinforcement.
        fidelity = None if role == "ar" else _unmeasured
        return Sft(model, None, task, examples, self.held_out, options, setting, fidelity)


def _unmeasured(_: torch.nn.Module) -> Metrics:
    return {}


def sidecar_of(directory: Path, d_model: int, scale: float, provenance: Mapping[str, Any]) -> Sidecar:
    """The sidecar of a pair for the target under `directory`; vectors are rescaled to norm `scale`."""
    prompting = Prompting(AV_TEMPLATE, AR_TEMPLATE, Injection.replacing(scale), MARKER)
    sidecar = new_sidecar(load_tokenizer(directory / "target"), prompting, d_model=d_model, layer=LAYER)
    return replace(sidecar, extra={"stage": "sl", "extraction": {"norm": "none"}, **provenance})
