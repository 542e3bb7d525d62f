"""What every rank of a training runs: the stages in their order, each resumed, measured and released."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import torch
from torch import nn

from nla_ray import __version__
from nla_ray.config.training.train import Supervised, TrainConfig
from nla_ray.errors import InputError
from nla_ray.intervals import cluster_bootstrap
from nla_ray.nla.engines.slots import SlotLayout
from nla_ray.nla.engines.transformers import TransformersVerbalizer
from nla_ray.nla.model.adapters.view import make_view
from nla_ray.nla.model.batching import pad_right
from nla_ray.nla.reconstruction.reconstructor import Reconstructor
from nla_ray.nla.sidecar.read import SIDECAR_NAME, Role, Sidecar, read_sidecar
from nla_ray.nla.verbalizer import Sampling
from nla_ray.pipelines.train.parts import Parts
from nla_ray.store.places.tree import Tree
from nla_ray.training.data import Split
from nla_ray.training.heldout import HeldOut, fve_of_answers, fve_of_texts, held_out_rows
from nla_ray.training.loop.learner import Learner, Metrics
from nla_ray.training.loop.metrics import Journal, Progress, Report
from nla_ray.training.loop.run import Every, Run
from nla_ray.training.lora import Adapting, whole_state
from nla_ray.training.models import TrainableAR, TrainableAV, autocast, load_ar, load_av, new_ar
from nla_ray.training.reinforce.rl import RlLearner
from nla_ray.training.reinforce.rollout import LocalSampler, Sampler
from nla_ray.training.saved.adapter import Over, write_model
from nla_ray.training.saved.checkpoint import Checkpoints
from nla_ray.training.saved.easynla import write_easynla
from nla_ray.training.saved.records import CHECKPOINTS
from nla_ray.training.saved.release import of_lm, place
from nla_ray.training.sft import Reading, Setting, Sft, Writing
from nla_ray.training.world import World, full_state, plain

STAGES = "stages"
FOLDER = {"sft_ar": "sft", "sft_av": "sft", "rl": "rl"}
"""Where in the output a stage leaves its models."""
ROLES: dict[str, tuple[Role, ...]] = {"sft_ar": ("ar",), "sft_av": ("av",), "rl": ("av", "ar")}
"""What a stage trains."""
LOADING = {
    "sft_ar": "loading the reconstructor", "sft_av": "loading the verbalizer", "rl": "loading the pair",
}  # fmt: skip

MakeSampler = Callable[[Path, SlotLayout, torch.dtype, Path | None], Sampler]


@dataclass(frozen=True)
class Attempt:
    """One start of the command: who owns the output until the next one, and the commit of the code."""

    owner: str
    git_commit: str | None


@dataclass
class Rank:
    """One rank's share of a training. `sampler` makes what draws the answers of joint training."""

    config: TrainConfig
    world: World
    report: Report
    attempt: Attempt
    sampler: MakeSampler | None = None

    def __post_init__(self) -> None:
        self.tree, self.parts = Tree(self.config.output, self.attempt.owner), Parts(self.config)
        device = self.world.device.type
        bfloat = self.config.dtype == "bfloat16" or (self.config.dtype == "auto" and device == "cuda")
        self.dtype = torch.bfloat16 if bfloat else torch.float32
        self.rows: HeldOut = held_out_rows(
            self.parts.splits["held_out"], self.config.held_out.rows, self.config.seed, cluster_bootstrap
        )

    def run(self) -> None:
        """Every stage that is not done yet. Raises NlaError, also where another attempt took the output."""
        try:
            for stage in self.config.stages.chosen:
                left = self.world.first and done(self.tree, stage) is None
                if self.world.total(torch.tensor(float(left), device=self.world.device)):
                    with TemporaryDirectory(prefix="nla_ray-") as scratch:
                        self._stage(stage, Path(scratch))
                    self.world.barrier()
                else:
                    steps = getattr(self.config.stages, stage).steps
                    self.report(Progress(stage, steps, steps, before=steps))
        except InputError:
            # Whose output is taken away stumbles over what the other one removes: say that first.
            self.tree.require_owner()
            raise

    def _stage(self, stage: str, scratch: Path) -> None:
        self.report(Progress(stage, steps=getattr(self.config.stages, stage).steps, doing=LOADING[stage]))
        learner, models = self._joint(scratch) if stage == "rl" else self._warm(stage, scratch)
        saving = self.config.saving
        checkpoints = Checkpoints(self.tree, f"{CHECKPOINTS}/{stage}", self.world, saving.keep)
        try:
            run = Run(stage, learner, checkpoints, Every(saving.every, saving.measures))
            newest = None if run.newest is None else run.newest.step
            journal = Journal(self.tree, stage, newest) if self.world.first else None
            try:
                found = run.finish(journal, self.report)
            finally:
                if journal is not None:
                    journal.close()
        finally:
            checkpoints.close()
        for role, model in models.items():
            self._release(stage, role, model, found.held_out)
        if self.world.first:
            said = {
                "stage": stage,
                "steps": learner.steps,
                "best_step": found.step,
                "held_out": found.held_out,
            }
            self.tree.write(f"{STAGES}/{stage}.json", json.dumps(said, indent=1).encode())

    def _warm(self, stage: str, scratch: Path) -> tuple[Learner, dict[Role, nn.Module]]:
        role: Role = "ar" if stage == "sft_ar" else "av"
        options: Supervised = getattr(self.config.stages, stage)
        make = self._ar if role == "ar" else self._av
        model, twin = make(scratch), make(scratch) if options.train_twin else None
        split: Split = self.parts.splits["ar_sft" if role == "ar" else "av_sft"]
        task: Any = Reading(cast(TrainableAR, model)) if role == "ar" else Writing(cast(TrainableAV, model))
        measure = (
            self._answers(scratch) if role == "av" else self._readings(cast(TrainableAR, model), options)
        )
        learner = Sft(model, twin, task, split, self.rows, options, self._setting, measure)
        return learner, {role: learner.model}

    def _joint(self, scratch: Path) -> tuple[Learner, dict[Role, nn.Module]]:
        settings = self.config.stages.rl
        if settings is None:
            raise RuntimeError("no joint training is configured")
        reference = None if self.config.lora else self._av(scratch).eval()
        learner = RlLearner(
            self._av(scratch), self._ar(scratch), reference, self._sampler(scratch),
            self.parts.splits["rl"], self.rows, settings, self._setting,
        )  # fmt: skip
        return learner, {"av": learner.av.model, "ar": learner.ar.model}

    @property
    def _setting(self) -> Setting:
        parallel, baseline = self.config.runner.parallel, self.parts.baseline
        return Setting(self.world, self.dtype, self.config.seed, parallel, baseline)

    def _readings(self, ar: TrainableAR, options: Supervised) -> Callable[[nn.Module], Metrics]:
        """The reconstructor on the held-out texts."""
        rows, device = self.rows.with_text(), self.world.device

        def measure(model: nn.Module) -> Metrics:
            def predict(texts: list[str]) -> torch.Tensor:
                prompts = ar.prompts(texts)
                lengths_B = torch.tensor([len(prompt) for prompt in prompts], device=device)
                with autocast(device, self.dtype):
                    read_BD: torch.Tensor = model(pad_right(prompts, device), lengths_B)
                return read_BD

            return fve_of_texts(predict, rows, self.parts.baseline, options.micro_batch, self.world)

        return measure

    def _answers(self, scratch: Path) -> Callable[[nn.Module], Metrics]:
        """Answers of the engine with the verbalizer's weights, read by the newest reconstructor."""
        sampler = LocalSampler(self._engine(self._directory("av", scratch)))
        reader = Reconstructor(self._directory("ar", scratch), dtype=self.dtype, device=self.world.device)
        sampling = Sampling(max_new_tokens=self.config.held_out.max_new_tokens, seed=self.config.seed)

        def measure(model: nn.Module) -> Metrics:
            weights = of_lm(whole_state(model))
            return fve_of_answers(
                sampler, weights, reader, self.rows, self.parts.baseline, sampling, self.world
            )

        return measure

    def _sampler(self, scratch: Path) -> Sampler:
        directory = self._directory("av", scratch)
        if self.sampler is None:
            return LocalSampler(self._engine(directory))
        return self.sampler(directory.absolute(), self._layout, self.dtype, self.parts.target)

    @property
    def _layout(self) -> SlotLayout:
        slots = self.config.held_out.slots
        return SlotLayout(slots)

    def _engine(self, directory: Path) -> TransformersVerbalizer:
        return TransformersVerbalizer(
            directory, dtype=self.dtype, device=self.world.device, layout=self._layout,
            template_from=self.parts.target,
        )  # fmt: skip

    def _directory(self, role: Role, scratch: Path) -> Path:
        """Where the newest AV or AR is: of an earlier stage, else where it starts."""
        name = f"sft/{role}"
        if self.tree.read(f"{name}/{SIDECAR_NAME}") is None:
            return self.parts.directory(role, scratch)
        found = self.tree.fetch(name, scratch / role)
        return make_view(found, self.parts.base(role)) if self.config.releases_adapters else found

    def _av(self, scratch: Path) -> TrainableAV:
        return load_av(
            self._directory("av", scratch), checkpointing=self.config.gradient_checkpointing,
            template_from=self.parts.target, lora=self._adapting,
        )  # fmt: skip

    @property
    def _adapting(self) -> Adapting | None:
        lora = self.config.lora
        return None if lora is None else Adapting(lora, self.dtype, self.config.seed)

    def _ar(self, scratch: Path) -> TrainableAR:
        keep, lora = self.config.gradient_checkpointing, self._adapting
        trained = self.tree.read(f"sft/ar/{SIDECAR_NAME}") is not None
        if not trained and self.parts.start("ar") is None and self.parts.target is not None:
            return new_ar(self.parts.target, self.parts.sidecars["ar"], checkpointing=keep, lora=lora)
        return load_ar(self._directory("ar", scratch), checkpointing=keep, lora=lora)

    def _release(self, stage: str, role: Role, model: nn.Module, held_out: Metrics) -> None:
        adapters, whole = self.config.releases_adapters, plain(model)
        weights = full_state(model) if adapters else whole_state(model)
        if not self.world.first:
            return
        sidecar = self._stated(stage, role, held_out)
        name = f"{FOLDER[stage]}/{role}"
        if not isinstance(whole, TrainableAV | TrainableAR):
            raise RuntimeError(f"{type(whole).__name__} is neither a verbalizer nor a reconstructor")
        with TemporaryDirectory(prefix="nla_ray-") as scratch:
            over = self._over(stage, role, Path(scratch)) if adapters else None
            place(self.tree, name, lambda path: write_model(path, whole, weights, sidecar, over))
            if over is not None and over.options.release == "easynla":
                release = self.tree.fetch(name, Path(scratch, "released"))
                said = read_sidecar(release, role=role)
                beside = f"{FOLDER[stage]}/easynla/{role}"
                place(self.tree, beside, lambda path: write_easynla(path, release, said))

    def _over(self, stage: str, role: Role, scratch: Path) -> Over:
        """What the adapter of a stage is released over."""
        lora, before = self.config.lora, f"{FOLDER['sft_av']}/{role}"
        if lora is None:
            raise RuntimeError("no adapters are configured")
        went_on = stage == "rl" and self.tree.read(f"{before}/{SIDECAR_NAME}") is not None
        return Over(lora, self.config.base(role), self.tree.fetch(before, scratch) if went_on else None)

    def _stated(self, stage: str, role: Role, held_out: Metrics) -> Sidecar:
        """The sidecar with where the model comes from."""
        sidecar, options = self.parts.sidecars[role], getattr(self.config.stages, stage)
        rates = {"rl": f"{role}_lr"}
        parents = [str(ref) for ref in (self.config.init.av, self.config.init.ar) if ref is not None]
        said: dict[str, Any] = {
            "stage": "rl" if stage == "rl" else "sl",
            "base_checkpoint": str(self.config.target) if self.config.target else None,
            "trained_on": {name: split.identity for name, split in self.parts.splits.items()},
            "parent_checkpoints": parents,
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "created_by": f"nla-ray {__version__}",
            "training": {
                "stage": stage, "lr": getattr(options, rates.get(stage, "lr")), "steps": options.steps,
                "loss_type": {"sft_ar": "mse_nrm", "sft_av": "next_token", "rl": "grpo"}[stage],
                "global_batch_size": options.vectors * options.group if stage == "rl" else options.batch,
            } | ({} if self.config.lora is None else {"lora": self.config.lora.model_dump(mode="json")}),
            "fve_baseline": asdict(self.parts.baseline),
            "nla_ray": {"config": self.config.fingerprint(), "held_out": held_out,
                "git_commit": self.attempt.git_commit,
            },
        }  # fmt: skip
        extra = dict(sidecar.extra) | {name: value for name, value in said.items() if value is not None}
        extra["extraction"] = dict(extra.get("extraction") or {}) | {"norm": "none"}
        return replace(sidecar, extra=extra)


def done(tree: Tree, stage: str) -> dict[str, Any] | None:
    """What a finished stage left: steps, the step that was released, what was measured there."""
    found = tree.read(f"{STAGES}/{stage}.json")
    return None if found is None else dict(json.loads(found))
