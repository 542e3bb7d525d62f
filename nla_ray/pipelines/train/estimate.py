"""What a training would do, and about how much work that is, without loading weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc
from transformers import PreTrainedTokenizerBase

from nla_ray.config.training.reinforce import Reinforce
from nla_ray.config.training.train import READS, Supervised, TrainConfig
from nla_ray.nla.prompt import ar_prompt_ids, load_tokenizer, render_av_prompt
from nla_ray.nla.sidecar.read import Role
from nla_ray.pipelines.decode.estimate import parameters
from nla_ray.pipelines.train.doubts import doubts
from nla_ray.pipelines.train.parts import Parts
from nla_ray.pipelines.train.rank import ROLES, done
from nla_ray.pipelines.train.run import local_device, ready, target_of
from nla_ray.training.data import Split
from nla_ray.training.loop.metrics import Report
from nla_ray.training.saved.records import newest

SAMPLE = 200
"""Rows whose texts are looked at."""
FORWARD, TRAINED, ADAPTED = 2, 6, 4
"""Operations for each parameter and token (Kaplan et al. 2020, arXiv:2001.08361, 2.1); of one that stands
still while adapters train, no gradient is made."""


@dataclass(frozen=True)
class Work:
    """A stage, without its measurements: `rows` of all steps, `tokens` with their prompts.

    Tokens of joint training are those of the longest answers that are allowed.
    """

    stage: str
    steps: int
    rows: int
    parameters: int
    tokens: int
    flops: float
    done: bool


@dataclass(frozen=True)
class Plan:
    """A training that can be run; `splits` as (name, rows, documents), `newest` as of `records.newest`."""

    config: TrainConfig
    d_model: int
    layer: int
    device: str
    splits: tuple[tuple[str, int, int], ...]
    work: tuple[Work, ...]
    newest: tuple[str, int] | None
    dropped: dict[str, int]
    warnings: tuple[str, ...]


def plan(config: TrainConfig, report: Report) -> Plan:
    """What `train` would do; everything is checked as it does, and nothing is written. Raises NlaError."""
    tree, parts, recorded = ready(config, report, weights=False)
    first = next(iter(parts.splits.values()))
    counts = (
        (name, len(split), int(pc.count_distinct(split.table["doc_id"]).as_py()))
        for name, split in parts.splits.items()
    )
    finished = {stage for stage in config.stages.chosen if done(tree, stage)}
    return Plan(
        config=config,
        d_model=first.d_model,
        layer=first.sidecar.layer,
        device=device_of(config),
        splits=tuple(counts),
        work=tuple(_work(parts, stage, stage in finished) for stage in config.stages.chosen),
        newest=newest(tree, config.stages.chosen),
        dropped={name: split.dropped for name, split in parts.splits.items() if split.dropped},
        warnings=doubts(parts, target_of(recorded)),
    )


def device_of(config: TrainConfig) -> str:
    """On what it would run. Raises ConfigError where that is not there."""
    runner = config.runner
    if runner.name == "local":
        return str(local_device(config))
    from nla_ray.config.runner import Runner
    from nla_ray.runtime.cluster import require_cluster

    require_cluster(Runner(name="ray", address=runner.address), config.output)
    gpus = {None: "a GPU each if there are enough", 0: "no GPU", 1: "a GPU each"}[runner.gpus]
    return f"{runner.workers} workers on Ray ({runner.parallel}), {gpus}"


def _work(parts: Parts, stage: str, finished: bool) -> Work:
    options: Supervised | Reinforce = getattr(parts.config.stages, stage)
    models = {role: _model(parts, role) for role in ROLES[stage]}
    size = sum(one.parameters for one in models.values())
    trained = TRAINED if parts.config.lora is None else ADAPTED
    if isinstance(options, Reinforce):
        rows = options.steps * options.vectors * options.group
        tokens = {role: rows * (one.prompt + options.max_new_tokens) for role, one in models.items()}
        flops: float = sum(trained * models[role].parameters * count for role, count in tokens.items())
        # The verbalizer also draws the answers, and stands beside itself as it was at the start.
        flops += 2 * FORWARD * models["av"].parameters * tokens["av"]
        return Work(stage, options.steps, rows, size, tokens["av"], flops, finished)
    rows, (model,) = options.steps * options.batch, models.values()
    read = rows * (model.prompt * (stage == "sft_av") + _length(parts.splits[READS[stage]], model))
    flops = trained * size * read * (2 if options.train_twin else 1)
    return Work(stage, options.steps, rows, size, round(read), flops, finished)


@dataclass(frozen=True)
class _Model:
    """A model as its files describe it; `prompt` tokens stand around a text."""

    parameters: int
    prompt: int
    tokenizer: PreTrainedTokenizerBase


def _model(parts: Parts, role: Role) -> _Model:
    directory, sidecar = parts.start(role) or parts.named_target, parts.sidecars[role]
    tokenizer = load_tokenizer(directory, template_from=parts.target)
    if role == "av":
        return _Model(parameters(directory), len(render_av_prompt(tokenizer, sidecar).ids), tokenizer)
    around = len(ar_prompt_ids(tokenizer, sidecar, [""])[0])
    return _Model(parameters(directory, sidecar.layer + 1) + sidecar.d_model**2, around, tokenizer)


def _length(split: Split, model: _Model) -> float:
    """Mean tokens of some of a split's texts."""
    rows = np.linspace(0, len(split) - 1, min(len(split), SAMPLE)).astype(np.int64)
    ids = model.tokenizer([text or "" for text in split.texts(rows)])["input_ids"]
    return sum(map(len, ids)) / len(ids)
