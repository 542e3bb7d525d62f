"""The configuration of a training: data, where the pair starts, stages, checkpoints, and where it runs."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints, model_validator

from nla_ray.config.base import Address, Config, Name, Spelled
from nla_ray.config.decode import Reference
from nla_ray.config.models.injection import InjectionText
from nla_ray.config.models.reference import ModelRef
from nla_ray.config.runner import Pool
from nla_ray.config.training.lora import Lora
from nla_ray.config.training.reinforce import Reinforce
from nla_ray.errors import ConfigError

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Split = Literal["ar_sft", "av_sft", "rl", "held_out"]


class Data(Config):
    """Tables in the published schema, each with its sidecar; a file, a folder, a pattern or `s3://`."""

    path: Name | None = None
    """A training set of `nla-ray training-set`: a folder per split."""
    ar_sft: Name | None = None
    """Takes the place of `path`/ar_sft; and so do the next three."""
    av_sft: Name | None = None
    rl: Name | None = None
    held_out: Name | None = None

    def of(self, split: Split) -> str | None:
        """Where a split is; None where nothing names it."""
        own: str | None = getattr(self, split)
        return own or (None if self.path is None else f"{self.path.rstrip('/')}/{split}")


class Init(Config):
    """Where the pair starts; a model that is not named starts as the target itself."""

    av: Reference | None = None
    """A verbalizer to go on with, as `nla-ray check` takes it."""
    ar: Reference | None = None
    """A reconstructor to go on with."""
    marker: Annotated[str, StringConstraints(min_length=1, max_length=8)] | None = None
    """Of a new verbalizer: the character whose embedding is overwritten; null: one that is one token."""
    system_turn: bool = True
    """Of a new verbalizer: whether its prompt has the system turn that the target's chat template puts before
    a user's by itself. Without it the sidecar holds the prompt as plain text, which is shorter."""
    injection: InjectionText | None = None
    """Of a new verbalizer, `KIND@SITE=SCALE`; null: `replace@embedding` at a norm that 75 % of the data's
    vectors do not exceed."""


class Supervised(Config):
    """A warm start on texts that are given. A batch is the same for any number of workers."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"micro_batch"})

    steps: Count
    """Optimiser steps."""
    lr: Positive
    """The highest learning rate; it rises over `warmup` steps and falls to 5 % on half a cosine."""
    batch: Count = 64
    """Rows of a step, over all workers; a multiple of their number."""
    micro_batch: Count = 16
    """Rows of a worker that are in memory at once; gradients are accumulated over them."""
    warmup: Annotated[int, Field(ge=0)] = 50
    """At most a quarter of the steps."""
    clip: Positive = 1.0
    """The longest gradient (global L2 norm)."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    train_twin: bool = False
    """Train a second model beside it on the same texts with other rows' vectors: twice the work.

    Without it, the model itself is measured with other rows' vectors.
    """


READS: dict[str, Split] = {"sft_ar": "ar_sft", "sft_av": "av_sft", "rl": "rl"}
"""The stages in their order, and the split that each reads."""


class Stages(Config):
    """What is trained, in this order; a stage that is null is left out."""

    sft_ar: Supervised | None = None
    """The reconstructor on (explanation, vector): normalised mean squared error."""
    sft_av: Supervised | None = None
    """The verbalizer on (vector, explanation): next token of the explanation."""
    rl: Reinforce | None = None
    """Both together, without texts; starts from the warm pair."""

    @property
    def chosen(self) -> tuple[str, ...]:
        """The names of the stages that are not left out, in their order."""
        return tuple(name for name in READS if getattr(self, name) is not None)

    @model_validator(mode="after")
    def _something(self) -> Stages:
        if not self.chosen:
            raise ValueError("name at least one of sft_ar, sft_av, rl")
        return self


class Saving(Config):
    """Checkpoints: complete or absent, so that the same command goes on after any interruption."""

    every: Count = 100
    """Steps between checkpoints."""
    keep: Count = 2
    """The newest so many are kept, and the one with the best held-out `fve_nrm`."""
    evaluate_every: Count | None = None
    """Steps between measurements on held-out data, a multiple of `every`; null: at every checkpoint."""

    @model_validator(mode="after")
    def _evaluated_ones_are_saved(self) -> Saving:
        if self.evaluate_every is not None and self.evaluate_every % self.every:
            raise ValueError(f"evaluate_every {self.evaluate_every} is not a multiple of every {self.every}")
        return self

    @property
    def measures(self) -> int:
        """Steps between measurements."""
        return self.evaluate_every or self.every


class HeldOut(Config):
    """How fidelity is measured while training."""

    rows: Count = 512
    """At most so many rows of the held-out split, drawn by the seed."""
    max_new_tokens: Count = 150
    slots: Count = 64
    """Answers that are generated at once."""


class Report(Config):
    """How the finished pair is measured: `nla-ray evaluate` on held-out vectors, with every control."""

    vectors: Count = 400
    """At most so many rows of the held-out split, the first ones of its table."""
    samples: Count = 4
    """Answers to each vector."""


class TrainRunner(Config):
    """Where it runs; no result depends on it beyond rounding."""

    name: Literal["local", "ray"] = "local"
    """`local`: one process. `ray`: Ray Train, on this machine or on a cluster."""
    address: Address | None = None
    """Ray's head as `HOST:PORT`; `auto`: a cluster on this machine; `local`: one of this job's own.

    Without it: RAY_ADDRESS, which `ray job submit` sets, else `local`.
    """
    workers: Count = 1
    """Processes that train together."""
    gpus: Annotated[int, Field(ge=0, le=1)] | None = None
    """GPUs of a worker; null: one if there is one."""
    cpus: Positive = 1.0
    """Cores that Ray reserves for a worker."""
    threads: Count | None = None
    """Threads that torch uses in a worker; null: as many as `cpus` under Ray, as torch chooses otherwise."""
    parallel: Literal["ddp", "fsdp2"] = "ddp"
    """`ddp`: every worker holds the models. `fsdp2`: they are sharded over the workers."""
    max_failures: Annotated[int, Field(ge=0)] = 3
    """So many times workers that died are started again from the last checkpoint."""
    rollouts: Pool | None = None
    """Ray actors that sample the answers of `stages.rl`; null: every worker samples its own."""

    @model_validator(mode="after")
    def _one_process(self) -> TrainRunner:
        if self.name == "local" and self.workers > 1:
            raise ValueError("workers: the local runner is one process; several need name: ray")
        if self.name == "local" and self.rollouts is not None:
            raise ValueError("rollouts: actors need name: ray")
        return self


class TrainConfig(Config):
    """A training of one pair for one layer of one target."""

    without_effect: ClassVar[frozenset[str]] = frozenset(
        {"output", "saving", "runner", "gradient_checkpointing", "report", "upload"}
    )

    output: Name
    """A folder or `s3://bucket/prefix` for this training alone: pairs, checkpoints, metrics."""
    target: Reference | None = None
    """The model that the vectors are from; only what goes on from `init.av` and `init.ar` can do without."""
    data: Data
    init: Init = Init()
    stages: Stages
    lora: Lora | None = None
    """Train low-rank adapters in every stage; null: all weights."""
    held_out: HeldOut = HeldOut()
    saving: Saving = Saving()
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    """Of the matrix products; `auto`: bfloat16 on CUDA, float32 elsewhere. Weights are float32."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass: less memory, a third more work."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of the order of the rows, of permuted vectors and of sampling."""
    runner: TrainRunner = TrainRunner()
    report: Report | None = Report()
    """The report on the finished pair, in `report` below the output; null: none is made."""
    upload: Annotated[str, Spelled(r"^[\w.-]+/[\w.-]+$", "an owner and a name, `owner/name`")] | None = None
    """A Hugging Face repository (`owner/name`, private when it is new) that gets the finished pair.

    The token is the one in HF_TOKEN.
    """

    @property
    def splits(self) -> dict[Split, str]:
        """Where the splits are that the stages read, and the held-out one.

        Raises ConfigError for one that nothing names.
        """
        wanted: list[Split] = [*(READS[stage] for stage in self.stages.chosen), "held_out"]
        found = {name: self.data.of(name) for name in wanted}
        for name, url in found.items():
            if url is None:
                raise ConfigError(f"data.{name}: nothing names this split; give data.path or data.{name}")
        return {name: url for name, url in found.items() if url is not None}

    def base(self, role: Literal["av", "ar"]) -> ModelRef:
        """What a model starts as, and its adapter is released over. Raises ConfigError without one."""
        base: ModelRef | None = getattr(self.init, role) or self.target
        if base is None:
            raise ConfigError("target: name the model that a new verbalizer or reconstructor starts as")
        return base

    @property
    def releases_adapters(self) -> bool:
        """Whether what comes out is adapters alone, to be read as ADAPTER on BASE."""
        return self.lora is not None and self.lora.release != "merged"

    @model_validator(mode="after")
    def _fits_together(self) -> TrainConfig:
        for name in ("sft_ar", "sft_av"):
            stage: Supervised | None = getattr(self.stages, name)
            if stage is not None and stage.batch % self.runner.workers:
                raise ValueError(
                    f"stages.{name}.batch {stage.batch} is not a multiple of {self.runner.workers} workers"
                )
        rl = self.stages.rl
        if rl is not None and self.runner.rollouts is not None and self.releases_adapters:
            raise ValueError(
                "lora.release: the actors of runner.rollouts read whole models; take "
                "merged, or leave rollouts out"
            )
        if rl is not None and rl.vectors % self.runner.workers:
            raise ValueError(
                f"stages.rl.vectors {rl.vectors} is not a multiple of {self.runner.workers} workers"
            )
        for role, stage in (("av", self.stages.sft_av), ("ar", self.stages.sft_ar)):
            known = stage is not None or getattr(self.init, role) is not None
            if not known and (rl is not None or role == "ar"):
                raise ValueError(
                    f"init.{role}: name one, or train it first with stages.sft_{role}; "
                    + ("joint training needs a warm pair" if rl else "fidelity needs a reconstructor")
                )
        if self.target is None and (self.init.av is None or self.init.ar is None):
            raise ValueError("target: name the model that a new verbalizer or reconstructor starts as")
        return self
