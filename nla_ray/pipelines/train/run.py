"""Train a pair: check what goes in, run the stages here or on Ray, and say what came out."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from nla_ray.config.training.lora import Lora
from nla_ray.config.training.train import Split, TrainConfig
from nla_ray.errors import CheckpointError, ConfigError
from nla_ray.models import here, pinned
from nla_ray.nla.preflight.run import check
from nla_ray.nla.sidecar.read import Role
from nla_ray.pipelines.provenance import model_record
from nla_ray.pipelines.train.doubts import doubts
from nla_ray.pipelines.train.parts import Parts
from nla_ray.pipelines.train.rank import FOLDER, ROLES, Attempt, Rank, done
from nla_ray.pipelines.train.report import PAGE, write_report
from nla_ray.store.places.tree import Tree
from nla_ray.store.runs.plan import differing_keys, some_of
from nla_ray.text import masked_values
from nla_ray.training.loop.learner import Metrics
from nla_ray.training.loop.metrics import Progress, Report, last_steps
from nla_ray.training.lora import check_lora
from nla_ray.training.saved.easynla import require_easynla
from nla_ray.training.world import World

RECORD = "run.json"


@dataclass(frozen=True)
class StageResult:
    """A finished stage: the step whose models were released, and what was measured with them.

    `ratio` is the mean importance ratio of the last steps of joint training.
    """

    stage: str
    steps: int
    best_step: int
    held_out: Metrics
    ratio: float | None = None


@dataclass(frozen=True)
class TrainedPair:
    """What a training left: stages, and where the newest AV and AR are (None: not trained).

    `report` is where the page is, `verdict` what it says; None where there is no report. `again` if all
    stages were finished before, `idle` if nothing else was done either.
    """

    stages: tuple[StageResult, ...]
    baseline: str
    dropped: dict[Split, int]
    uploaded: str | None
    again: bool
    idle: bool
    av: str | None
    ar: str | None
    report: str | None
    verdict: str | None
    warnings: tuple[str, ...] = ()


def train(config: TrainConfig, report: Report) -> TrainedPair:
    """Train as configured; the same output goes on where it stopped, a finished one is only reported.

    Raises InputError, CheckpointError and ConfigError before anything is trained, and TrainingError.
    """
    tree, parts, recorded = ready(config, report)
    config = parts.config
    again = all(done(tree, stage) for stage in config.stages.chosen)
    if not again:
        run_one_rank = partial(run_rank, Attempt(tree.take_over(), git_commit()))
        tree.write(RECORD, json.dumps(recorded, indent=1, sort_keys=True).encode())
        if config.runner.name == "ray":
            from nla_ray.runtime.ray_train import train_on_ray

            train_on_ray(config, run_one_rank, report)
        else:
            run_one_rank(config, World(device=local_device(config)), report)
    stages = tuple(
        StageResult(**found, ratio=last_steps(tree, stage, "ratio"))
        for stage in config.stages.chosen
        if (found := done(tree, stage))
    )
    roles: tuple[Role, ...] = ("av", "ar")
    places = {role: _newest(config, config.stages.chosen, role) for role in roles}
    baseline = parts.baseline
    said = f"Var(v_nrm) = {baseline.value:.4f} of {baseline.reference}, {baseline.n} vectors"
    dropped = {name: split.dropped for name, split in parts.splits.items() if split.dropped}
    trained = {role: place for role, place in places.items() if place}
    reported = tree.read(PAGE) is not None
    evaluation = None if config.report is None else write_report(config, tree, trained, report)
    uploaded = None
    if config.upload is not None:
        from nla_ray.pipelines.train.upload import upload

        uploaded = upload(tree, config.upload, trained)
    return TrainedPair(
        stages, said, dropped, uploaded, again,
        idle=again and uploaded is None and (reported or evaluation is None),
        **{role: _said(config, tree, role, place) for role, place in places.items()},
        report=f"{tree.url}/{PAGE}" if evaluation else None,
        verdict=evaluation.verdict if evaluation else None,
        warnings=doubts(parts, target_of(recorded)),
    )  # fmt: skip


def ready(config: TrainConfig, report: Report, *, weights: bool = True) -> tuple[Tree, Parts, dict[str, Any]]:
    """The output, what goes in, and what decides the result, all checked; nothing is written.

    In the configuration of the parts, models of S3 have the pin of their files. Without `weights`, those of
    models from the hub need not be here. Raises NlaError.
    """
    starts = {role: pinned(getattr(config.init, role)) for role in ("av", "ar")}
    models = {"target": pinned(config.target), "init": config.init.model_copy(update=starts)}
    tree, parts = Tree(config.output), Parts(config.model_copy(update=models), weights)
    report(Progress(doing=f"reading {', '.join(config.splits)}"))
    _ = parts.splits
    report(Progress(doing="checking the models"))
    _ = parts.sidecars, parts.baseline
    _require_usable(parts.config)
    if parts.config.lora is not None:
        _require_adaptable(parts, parts.config.lora)
    recorded = _recorded(parts.config, parts)
    _require_same(tree, recorded)
    doubts(parts, target_of(recorded))
    return tree, parts, recorded


def target_of(recorded: Mapping[str, Any]) -> str | None:
    """The digest of the target's files in what `ready` found; None where none is named."""
    found: str | None = recorded["content"]["models"].get("target")
    return found


def run_rank(
    attempt: Attempt, config: TrainConfig, world: World, report: Report, sampler: Any = None
) -> None:
    """One rank of the training, in this process."""
    if config.runner.threads is not None:
        torch.set_num_threads(config.runner.threads)
    Rank(config, world, report, attempt, sampler).run()


def local_device(config: TrainConfig) -> torch.device:
    """CUDA where there is one and it is not refused (`runner.gpus: 0`)."""
    gpu = config.runner.gpus != 0 and torch.cuda.is_available()
    if config.runner.gpus and not gpu:
        raise ConfigError("runner.gpus: this machine has no CUDA device; leave it out, or set 0 for the CPU")
    return torch.device("cuda" if gpu else "cpu")


def git_commit() -> str | None:
    """The commit of this code, where it runs from a repository."""
    folder = Path(__file__).parent
    try:
        found = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return found.stdout.strip() or None


def _newest(config: TrainConfig, stages: tuple[str, ...], role: Role) -> str | None:
    """Where in the output the last stage left this model."""
    folders = [FOLDER[stage] for stage in stages if role in ROLES[stage]]
    return f"{folders[-1]}/{role}" if folders else None


def _said(config: TrainConfig, tree: Tree, role: Role, place: str | None) -> str | None:
    """How a model that was trained is named to other commands."""
    if place is None or not config.releases_adapters:
        return None if place is None else f"{tree.url}/{place}"
    return f"{tree.url}/{place} on {config.base(role)}"


def _require_usable(config: TrainConfig) -> None:
    """Raise CheckpointError for a pair to go on with that an evaluation would refuse, by the same checks."""
    if config.init.av is None:
        return
    for found in check(here(config.init.av), here(config.init.ar), here(config.target)):
        if found.status == "fail":
            raise CheckpointError(f"init: {found.subject}, {found.name}: {found.detail}")


def _require_adaptable(parts: Parts, lora: Lora) -> None:
    """Raise ConfigError and CheckpointError for adapters that the models do not take, before any weights."""
    for role in sorted({role for stage in parts.config.stages.chosen for role in ROLES[stage]}):
        blocks = parts.sidecars[role].ar_blocks if role == "ar" else None
        check_lora(parts.base(role), lora, blocks)
    if lora.release == "easynla":
        require_easynla(parts.sidecars["av"])


def _recorded(config: TrainConfig, parts: Parts) -> dict[str, Any]:
    """What decides the result, and must stay as it is while a training is continued."""
    refs = {"target": config.target, "init.av": config.init.av, "init.ar": config.init.ar}
    paths = {"target": parts.target, "init.av": parts.start("av"), "init.ar": parts.start("ar")}
    models = {
        name: model_record(ref, path).sha256
        for name, ref in refs.items()
        if ref is not None and (path := paths[name]) is not None
    }
    data = {name: split.identity for name, split in parts.splits.items()}
    said: dict[str, Any] = masked_values(config.effective())
    return said | {"content": {"data": data, "models": models}}


def _require_same(tree: Tree, recorded: Mapping[str, Any]) -> None:
    """Raise ConfigError where the output holds another training, naming the keys that differ."""
    before = tree.read(RECORD)
    if before is None:
        return
    keys = differing_keys(masked_values(json.loads(before)), recorded)
    if keys:
        raise ConfigError(
            f"output: {tree.url} holds a training with another configuration: {some_of(keys)}; "
            "set them back to go on with it, or name another output"
        )
