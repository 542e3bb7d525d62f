"""The plan of a decode: what is checked without weights, which units there are, how many rows each has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import JsonValue

from nla_ray.config.decode import Baseline, DecodeConfig, Engine, Models
from nla_ray.config.models.reference import ModelRef
from nla_ray.config.runner import Runner
from nla_ray.config.training.training_set import TrainingSetConfig
from nla_ray.corpus.redaction.find import settled as redaction
from nla_ray.corpus.vectors.files import VectorOrigin, check_vectors
from nla_ray.errors import CheckpointError, ConfigError
from nla_ray.models import here, pinned_models, planned_directory
from nla_ray.nla.model.backbone import load_config
from nla_ray.nla.model.ranks import check_divisible
from nla_ray.nla.preflight.run import check
from nla_ray.nla.prompt import slots_of
from nla_ray.nla.sidecar.read import Sidecar, read_sidecar, require_injection
from nla_ray.pipelines.decode.outcome.baseline import known_baseline
from nla_ray.pipelines.decode.pair.context import check_answers, settled_corpus
from nla_ray.pipelines.decode.pair.settled import settled_pair
from nla_ray.pipelines.decode.pieces.cache import Cache
from nla_ray.pipelines.decode.pieces.examples import Example
from nla_ray.pipelines.decode.pieces.make import surveyor_of
from nla_ray.pipelines.decode.recipe import Recipe, recipe_of
from nla_ray.pipelines.decode.survey import Doing, Reads, Survey, sampled, survey_corpus, warnings_of
from nla_ray.pipelines.provenance import ModelRecord, at_commit, model_record
from nla_ray.runtime.workers import Workers
from nla_ray.stages.code import code_of
from nla_ray.stages.device import device_of
from nla_ray.stages.rows import Identity
from nla_ray.stages.units.work import Task
from nla_ray.store.runs.plan import Plan
from nla_ray.tables import DECODED


@dataclass(frozen=True)
class Checkpoints:
    """Local directories of the three models where it is planned; those from the hub may lack weights."""

    target: Path | None
    av: Path
    ar: Path | None


@dataclass(frozen=True)
class Decode:
    """A decode that is ready to run; in `config` device, type, the commits of models and the longest
    document are settled.

    `unusable` are the most frequent reasons why documents cannot be used, each with an example. `proof` is
    what is known, before any unit is made, of whether the pair reads the target.
    """

    config: DecodeConfig
    checkpoints: Checkpoints
    sidecar: Sidecar
    identity: Identity
    baseline: Baseline | None
    survey: Survey
    tasks: tuple[Task, ...]
    plan: Plan
    warnings: tuple[str, ...]
    unusable: tuple[str, ...]
    examples: tuple[Example, ...] = ()
    proof: Mapping[str, JsonValue] = field(default_factory=dict)


def plan_alone(config: DecodeConfig, doing: Doing) -> Decode:
    """The plan, made by this process, which keeps nothing."""
    with Cache() as cache:
        return plan_decode(config, Reads(Workers(Runner()), cache, doing))


def plan_decode(config: DecodeConfig, reads: Reads) -> Decode:
    """Everything that can be known without loading weights. Raises NlaError for what cannot be used."""
    reads.doing("checking the models", 0)
    config = config.model_copy(
        update={
            "engine": settled(config),
            "models": pinned_models(config.models),
            "redact": redaction(config.redact),
        }
    )
    preflight(config)
    checkpoints = find_checkpoints(config)
    check_ranks(config, checkpoints)
    settled_models = settled_pair(pinned(config.models, checkpoints), checkpoints.av, checkpoints.ar)
    config = config.model_copy(update={"models": settled_models})
    config = config.model_copy(update={"corpus": settled_corpus(config, checkpoints.target)})
    sidecar = read_sidecar(
        checkpoints.av, role="av", injection=config.models.injection, facts=config.models.pair
    )
    refuse_slots(sidecar)
    check_answers(config, checkpoints.av, checkpoints.target, sidecar)
    origin = None
    if config.corpus.vectors is not None:
        origin = check_vectors(config.corpus, d_model=sidecar.d_model, layer=sidecar.layer)
    models, baseline = record_models(config, checkpoints), known_baseline(config, checkpoints.ar)
    digests = {role: model.sha256 for role, model in models.items()}
    shape = {"d_model": sidecar.d_model, "layer": sidecar.layer}
    unsampled = anchored(config.model_copy(update={"sample": None}))
    sample, strata = sampled(config, surveyor_of(unsampled, checkpoints.target, **shape), reads)
    config = config.model_copy(update={"sample": sample})
    recipe = recipe_of(config, digests, sidecar.layer, baseline, code_of())
    surveyor = surveyor_of(anchored(config), checkpoints.target, **shape)
    survey, tasks, faults, examples = survey_corpus(config, recipe.sha256, surveyor, reads)
    identity = identify(config, recipe, survey, models, origin)
    plan = plan_of(config, recipe, identity, survey, tasks, models)
    facts: dict[str, JsonValue] = {"injection": str(require_injection(sidecar))}
    facts |= {"strata": {**strata}} if strata else {}
    plan = plan.model_copy(update={"facts": plan.facts | facts})
    warnings = (*warnings_of(config.corpus, faults), *(() if origin is None else origin.warnings))
    return Decode(
        config=config,
        checkpoints=checkpoints,
        sidecar=sidecar,
        identity=identity,
        baseline=baseline,
        survey=survey,
        tasks=tasks,
        plan=plan,
        warnings=warnings,
        unusable=tuple(faults.reasons()),
        examples=examples,
    )


def settled(config: DecodeConfig | TrainingSetConfig) -> Engine:
    """The engine with device and type as they will be: equal on every worker, and part of the plan."""
    engine, runner = config.engine, config.runner
    if runner.name == "local":
        device, dtype = device_of(engine)
        return engine.model_copy(update={"device": str(device), "dtype": str(dtype).removeprefix("torch.")})
    pools = [runner.pool] if runner.pools is None else [pool for _, pool in runner.pools]
    gpus = {pool.gpus > 0 for pool in pools}
    if engine.device == "auto" and len(gpus) > 1:
        raise ConfigError("runner.pools: some have GPUs and some have none; say engine.device")
    device_name = engine.device if engine.device != "auto" else "cuda" if gpus == {True} else "cpu"
    kind = "bfloat16" if device_name.startswith("cuda") else "float32"
    return engine.model_copy(
        update={"device": device_name, "dtype": kind if engine.dtype == "auto" else engine.dtype}
    )


def preflight(config: DecodeConfig) -> None:
    """Raise CheckpointError with the first failed check of the three models, before any weight is loaded."""
    models = config.models
    checks = check(
        here(models.av), here(models.ar), here(models.target), injection=models.injection, facts=models.pair
    )
    failed = [made for made in checks if made.status == "fail"]
    if failed:
        first, others = failed[0], len(failed) - 1
        more = f" (and {others} more; `nla-ray check` shows all)" if others else ""
        raise CheckpointError(f"{first.subject}: {first.name}: {first.detail}{more}")


def refuse_slots(sidecar: Sidecar) -> None:
    """Raise CheckpointError for a verbalizer that answers about several vectors: a row has one position."""
    if slots_of(sidecar) > 1:
        raise CheckpointError(
            f"{sidecar.path}: {sidecar.injection}: an answer is about {slots_of(sidecar)} vectors, which a "
            "question chooses (docs/checkpoints.md), and a row of a decode has one position and one vector; "
            "take a verbalizer of one slot, or call Verbalizer.generate"
        )


def check_ranks(config: DecodeConfig, checkpoints: Checkpoints) -> None:
    """Refuse models that `engine.ranks` cannot share, and actors without a GPU for each rank."""
    ranks, runner, models = config.engine.ranks, config.runner, config.models
    if ranks > 1 and config.continuation is not None:
        raise ConfigError(
            f"engine.ranks {ranks}: a target that answers (continuation) is not shared out; decode a corpus "
            "that has its answers, or use engine.ranks 1"
        )
    pools = [runner.pool] if runner.pools is None else [pool for _, pool in runner.pools]
    least = min(pool.gpus for pool in pools)
    if runner.name == "ray" and config.engine.device == "cuda" and ranks > max(1, least):
        raise ConfigError(
            f"engine.ranks {ranks}: an actor has {least:g} GPUs; set `gpus` of runner.pool or runner.pools"
        )
    refs, found = (models.target, models.av, models.ar), (checkpoints.target, checkpoints.av, checkpoints.ar)
    for ref, directory in zip(refs, found, strict=True):
        if ref is not None and directory is not None and ranks > 1:
            loaded = load_config(directory, trust_remote_code=ref.trust_remote_code)
            check_divisible(loaded, ranks, directory)


def find_checkpoints(config: DecodeConfig) -> Checkpoints:
    """Local directories of the models; of those on the hub the small files are fetched."""
    models = config.models
    ar = None if models.ar is None else planned_directory(models.ar)
    target = None if models.target is None else planned_directory(models.target)
    return Checkpoints(target, planned_directory(models.av), ar)


def pinned(models: Models, checkpoints: Checkpoints) -> Models:
    """The models at the commits that were found: a branch that moves meanwhile changes nothing."""
    found = {"target": checkpoints.target, "av": checkpoints.av, "ar": checkpoints.ar}
    named = {role: (getattr(models, role), directory) for role, directory in found.items()}
    commits = {role: at_commit(ref, path) for role, (ref, path) in named.items() if path is not None}
    return models.model_copy(update=commits)


def anchored(config: DecodeConfig) -> DecodeConfig:
    """The configuration as workers get it: folders of models are absolute, for they may run elsewhere."""
    named = {role: getattr(config.models, role) for role in ("target", "av", "ar")}
    found = {role: ref.anchored() for role, ref in named.items() if ref is not None}
    return config.model_copy(update={"models": config.models.model_copy(update=found)})


def record_models(config: DecodeConfig, checkpoints: Checkpoints) -> dict[str, ModelRecord]:
    """Identity of each model by role."""
    found: dict[str, tuple[ModelRef | None, Path | None]] = {
        "target": (config.models.target, checkpoints.target),
        "av": (config.models.av, checkpoints.av),
        "ar": (config.models.ar, checkpoints.ar),
    }
    return {
        role: model_record(ref, directory)
        for role, (ref, directory) in found.items()
        if ref is not None and directory is not None
    }


def identify(
    config: DecodeConfig,
    recipe: Recipe,
    survey: Survey,
    models: dict[str, ModelRecord],
    origin: VectorOrigin | None,
) -> Identity:
    """What all rows share; equal recipe, corpus and weights have the same run id on every machine."""
    run_id = recipe.run_id(survey.sha256, config)
    ar = str(models["ar"]) if "ar" in models else None
    target = str(models["target"]) if "target" in models else None
    if target is None and origin is not None:
        target = origin.base_model
    return Identity(run_id, recipe.sha256, recipe.layer, config.seed, target, str(models["av"]), ar)


def weights_of(models: dict[str, ModelRecord]) -> JsonValue:
    """What is known of each model's files, by role."""
    return {
        role: {"ref": one.ref, "commit": one.commit, "sha256": one.sha256} for role, one in models.items()
    }


def plan_of(
    config: DecodeConfig,
    recipe: Recipe,
    identity: Identity,
    survey: Survey,
    tasks: tuple[Task, ...],
    models: dict[str, ModelRecord],
) -> Plan:
    """The plan as it is stored: nothing in it depends on the time or on the machine."""
    return Plan(
        run_id=identity.run_id,
        units={task.unit_id: task.planned for task in tasks},
        sides=tuple(sorted(config.keep)),
        facts={
            "provenance": DECODED,
            "fingerprint": recipe.fingerprint,
            "recipe": recipe.sha256,
            "code": asdict(recipe.code),
            "config": recipe.config,
            "corpus": asdict(survey),
            "models": {"target": identity.target, "av": identity.av, "ar": identity.ar},
            "weights": weights_of(models),
            "layer": identity.layer,
            "seed": identity.seed,
            "baseline": recipe.baseline,
        },
    )
