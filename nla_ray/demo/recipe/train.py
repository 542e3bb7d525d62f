"""Train the demo pair from nothing: tokenizer, target, warm pair, reinforcement; then measure it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from transformers import PreTrainedTokenizerFast

from nla_ray import __version__
from nla_ray.config.training.reinforce import Reinforce
from nla_ray.config.training.train import Supervised
from nla_ray.demo import world
from nla_ray.demo.dataset import encode
from nla_ray.demo.recipe import export
from nla_ray.demo.recipe.autoencoder import WarmStart, sidecar_of
from nla_ray.demo.recipe.card import card
from nla_ray.demo.recipe.measure import draw, measure
from nla_ray.demo.recipe.reinforce import CURVE_SEED, Point, reinforce
from nla_ray.demo.recipe.target import LAYER, Report, new_target, train_target
from nla_ray.demo.recipe.tokenizer import train_tokenizer
from nla_ray.nla.extraction import Extractor
from nla_ray.nla.prompt import load_tokenizer
from nla_ray.nla.reconstruction.fidelity import variance_baseline
from nla_ray.nla.sidecar.read import Role
from nla_ray.training.data import injection_scale
from nla_ray.training.loop.learner import Metrics

Progress = Callable[[str, int, int, float], None]
"""Called with (stage, step, steps, loss) after each step."""

TARGET_SEED, PAIRS_SEED, CORPUS_SEED = 1, 101, 9100
"""Seeds of the documents that the target trains on, that AR and AV train on, and of the demo corpus."""
PAIRS_PER_DOCUMENT = 6
CORPUS_DOCUMENTS = 200


@dataclass(frozen=True)
class Recipe:
    """Sizes of a training run; learning rates are the same at every size."""

    target_steps: int
    ar_steps: int
    av_steps: int
    documents: int
    """Documents that the target trains on."""
    pair_documents: int
    """Documents that AR and AV train on, `PAIRS_PER_DOCUMENT` places of each."""
    measured: int
    """Documents that the pair is measured on; six times as many train the probes."""
    target_batch: int = 32
    pair_batch: int = 64
    target_lr: float = 3e-3
    ar_lr: float = 3e-3
    av_lr: float = 2e-3
    vocab: int = 1400
    rl_documents: int = 2000
    """Documents whose activations AV and AR are reinforced on, without explanations."""
    rl_measured: int = 125
    """Documents that it is measured on, on the way."""
    rl_steps: int = 250
    rl_vectors: int = 16
    rl_group: int = 8
    rl_av_lr: float = 2e-4
    rl_ar_lr: float = 5e-4
    rl_kl: float = 0.05

    def warm(self) -> dict[Role, Supervised]:
        """The options of the warm start, the reconstructor first."""
        batch = self.pair_batch
        return {
            "ar": Supervised(steps=self.ar_steps, lr=self.ar_lr, batch=batch, micro_batch=batch),
            "av": Supervised(steps=self.av_steps, lr=self.av_lr, batch=batch, micro_batch=batch),
        }

    def reinforcement(self) -> Reinforce:
        """The options of the last stage."""
        return Reinforce(
            steps=self.rl_steps, vectors=self.rl_vectors, group=self.rl_group, av_lr=self.rl_av_lr,
            ar_lr=self.rl_ar_lr, kl=self.rl_kl, max_new_tokens=96,
        )  # fmt: skip


RECIPES = {
    "full": Recipe(
        target_steps=450, ar_steps=600, av_steps=1800, documents=14400, pair_documents=19200, measured=500
    ),
    "small": Recipe(
        target_steps=12,
        ar_steps=8,
        av_steps=8,
        documents=400,
        pair_documents=100,
        measured=10,
        rl_documents=10,
        rl_measured=4,
        rl_steps=2,
        rl_vectors=2,
        rl_group=2,
    ),
}


def train_pair(out: Path, recipe: Recipe, *, seed: int = 0, progress: Progress) -> dict[str, list[float]]:
    """Write target, AV, AR, demo corpus, measurements and card under `out`; returns the losses of each stage.

    Everything is a function of recipe and seed, up to the rounding of the machine's matrix products.
    """
    started = time.monotonic()
    run = _Run(out, recipe, seed, progress)
    run.target()
    run.warm_pair()
    curve = run.reinforced()
    corpus = world.documents(CORPUS_SEED, CORPUS_DOCUMENTS, twins=True)
    export.write_corpus(out / "corpus.jsonl", encode(corpus, run.tokenizer))
    write_measurements(out, recipe, seed, minutes=(time.monotonic() - started) / 60, curve=curve)
    return run.losses


def warm_start(out: Path, recipe: Recipe, seed: int) -> WarmStart:
    """What AR and AV of the target under `out` learn from."""
    extractor = Extractor(out / "target", [LAYER])
    tokenizer = load_tokenizer(out / "target")
    sample = draw(
        extractor, tokenizer, PAIRS_SEED, recipe.pair_documents, positions=PAIRS_PER_DOCUMENT, brief=True
    )
    reference = f"activations that AV and AR trained on (demo world, seed {PAIRS_SEED})"
    baseline = variance_baseline(sample.vectors, reference)
    provenance = {
        "base_checkpoint": "demo:target", "created_by": f"nla-ray {__version__}",
        "fve_baseline": asdict(baseline), "training": {"recipe": asdict(recipe), "seed": seed},
    }  # fmt: skip
    sidecar = sidecar_of(out, extractor.d_model, injection_scale(sample.vectors), provenance)
    held_out = draw(extractor, tokenizer, CURVE_SEED, recipe.rl_measured).held_out()
    return WarmStart(out, sidecar, sample, held_out, baseline, seed)


def write_measurements(
    out: Path, recipe: Recipe, seed: int, *, minutes: float, curve: Sequence[Point]
) -> None:
    """Measure the pair under `out`; write `measured.json` and the model card `README.md`."""
    training = {
        "recipe": asdict(recipe), "seed": seed, "minutes": round(minutes, 1),
        "hardware": f"{os.cpu_count()} CPU cores, no GPU",
    }  # fmt: skip
    measured = {"training": training, "curve": curve} | measure(
        out, documents=recipe.measured, probe_documents=6 * recipe.measured
    )
    (out / "measured.json").write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    (out / "README.md").write_text(card(measured), encoding="utf-8")


class _Run:
    """What the stages of one training run share."""

    def __init__(self, out: Path, recipe: Recipe, seed: int, progress: Progress) -> None:
        self.out, self.recipe, self.seed, self.progress = out, recipe, seed, progress
        self.tokenizer: PreTrainedTokenizerFast = train_tokenizer(recipe.vocab, TARGET_SEED)
        self.losses: dict[str, list[float]] = {}

    def report(self, stage: str, steps: int) -> Report:
        return lambda step, loss: self.progress(stage, step + 1, steps, loss)

    def target(self) -> None:
        recipe = self.recipe
        corpus = encode(world.documents(TARGET_SEED, recipe.documents), self.tokenizer)
        model = new_target(len(self.tokenizer), self.seed)
        self.losses["target"] = train_target(
            model, corpus, steps=recipe.target_steps, batch=recipe.target_batch, lr=recipe.target_lr,
            seed=self.seed, report=self.report("target", recipe.target_steps),
        )  # fmt: skip
        export.save_target(self.out / "target", model, self.tokenizer)

    def warm_pair(self) -> None:
        start = warm_start(self.out, self.recipe, self.seed)
        for role, options in self.recipe.warm().items():
            name = role.upper()
            self.losses[name] = start.train(role, options, self.report(name, options.steps))

    def reinforced(self) -> list[Point]:
        recipe, losses = self.recipe, self.losses.setdefault("RL", [])
        report = self.report("RL", recipe.rl_steps)

        def step(n: int, metrics: Metrics) -> None:
            losses.append(-metrics["reward"])
            report(n, losses[-1])

        return reinforce(
            self.out,
            recipe.reinforcement(),
            documents=recipe.rl_documents,
            measured=recipe.rl_measured,
            seed=self.seed,
            report=step,
        )
