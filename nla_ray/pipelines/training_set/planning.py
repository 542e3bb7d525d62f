"""The plan of a training set: what is checked before anything is paid for, and the units of the corpus."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

from pydantic import JsonValue

from nla_ray.config.training.training_set import Asking, Local, TrainingSetConfig
from nla_ray.corpus.documents.faults import Faults
from nla_ray.corpus.documents.find import read_documents
from nla_ray.corpus.documents.pieces import units_of
from nla_ray.corpus.vectors.files import check_vectors
from nla_ray.errors import CheckpointError, InputError
from nla_ray.ids import digest
from nla_ray.models import pinned as pinned_on_s3
from nla_ray.models import planned_directory
from nla_ray.nla.model.backbone import load_config, text_config
from nla_ray.pipelines.decode.pair.context import settled_corpus
from nla_ray.pipelines.decode.planning import weights_of
from nla_ray.pipelines.decode.survey import Doing, Survey, warnings_of
from nla_ray.pipelines.provenance import ModelRecord, at_commit, model_record, versions
from nla_ray.providers.asking import instruction_of
from nla_ray.stages.extract import reader_of, tokenizer_of, vocabulary_of
from nla_ray.stages.rows import Identity
from nla_ray.stages.units.work import Task, unit_id_of
from nla_ray.store.runs.plan import Plan
from nla_ray.store.runs.units import RunRef
from nla_ray.text import masked_values

BASE, EXPLAINED = "base", "explained"


@dataclass(frozen=True)
class Ready:
    """A training set that can be built; in `config` device, type and commits of models are settled.

    `base_model` is the target, or the model that the sidecars of its vectors name; `kept_meta` the columns of
    the corpus that the tables keep.
    """

    config: TrainingSetConfig
    target: Path | None
    base_model: str
    d_model: int
    identity: Identity
    survey: Survey
    tasks: tuple[Task, ...]
    plan: Plan
    kept_meta: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def set_id(self) -> str:
        """Id of the set: equal recipe, corpus and weights have the same one on every machine."""
        return self.plan.run_id

    @property
    def recipe(self) -> dict[str, JsonValue]:
        """All of the configuration that changes results."""
        return cast(dict[str, JsonValue], self.plan.facts["config"])

    @property
    def target_record(self) -> JsonValue:
        """What is known of the target's files; None where only its vectors are at hand."""
        return cast(dict[str, JsonValue], self.plan.facts["weights"]).get("target")

    def ref(self, table: str) -> RunRef:
        """The units of one of the tables on the way."""
        return replace(RunRef.of(self.plan), table=table)


def settled_explainer(config: TrainingSetConfig) -> tuple[TrainingSetConfig, ModelRecord | None]:
    """What a `local` provider's model is, None for any other; in the configuration its commit is settled.

    Raises CheckpointError where it is not there.
    """
    provider = config.provider
    if not isinstance(provider, Local):
        return config, None
    named = pinned_on_s3(provider.model)
    directory = planned_directory(named)
    model = at_commit(named, directory)
    settled = config.model_copy(update={"provider": provider.model_copy(update={"model": model})})
    return settled, model_record(model, directory)


def plan_training_set(config: TrainingSetConfig, explainer: ModelRecord | None, doing: Doing) -> Ready:
    """Everything that can be known without weights and without money; the engine is settled already.

    `config` and `explainer` as `settled_explainer` has them. Raises NlaError.
    """
    doing("checking the target", 0)
    kept, config = config.corpus.meta, config.reading()
    config = config.model_copy(update={"target": pinned_on_s3(config.target)})
    target = None if config.target is None else planned_directory(config.target)
    if target is not None and config.target is not None:
        config = config.model_copy(update={"target": at_commit(config.target, target)})
    config = config.model_copy(update={"corpus": settled_corpus(config, target)})
    d_model = width_of(config, target)
    origin: str | None = None
    warnings: tuple[str, ...] = ()
    if config.corpus.vectors is not None:
        found = check_vectors(config.corpus, d_model=d_model, layer=config.layer, whose="the target")
        origin, warnings = found.base_model, found.warnings
    recipe, fingerprint = recipe_of(config)
    survey, tasks, faults = survey_units(config, fingerprint, doing)
    weights = {} if explainer is None else {"provider": explainer}
    if config.target is not None and target is not None:
        reader_of(config, tokenizer_of(config, target), d_model=d_model, layer=config.layer,
                  vocabulary=vocabulary_of(config, target))  # fmt: skip
        weights["target"] = model_record(config.target, target)
    name = str(config.target) if config.target is not None else origin or "not known"
    digests = [model.sha256 for model in weights.values()]
    set_id = digest("training-set", fingerprint, survey.sha256, *digests)[:32]
    identity = Identity(set_id, fingerprint, config.layer, config.seed, name, "", None)
    facts: dict[str, JsonValue] = {
        "fingerprint": fingerprint,
        "config": recipe,
        "corpus": asdict(survey),
        "weights": weights_of(weights),
        "versions": {**versions()},
    }
    plan = Plan(run_id=set_id, table=BASE, units={task.unit_id: None for task in tasks}, facts=facts)
    warnings = (*warnings_of(config.corpus, faults), *warnings)
    return Ready(config, target, name, d_model, identity, survey, tasks, plan, kept, warnings)


def recipe_of(config: TrainingSetConfig) -> tuple[dict[str, Any], str]:
    """All of a configuration that changes results, an instruction by what it says; and its fingerprint."""
    recipe, said = masked_values(config.effective()), ""
    if isinstance(config.provider, Asking):
        recipe["provider"]["instruction"] = said = instruction_of(config.provider)
    return recipe, digest(config.fingerprint(), said)


def width_of(config: TrainingSetConfig, target: Path | None) -> int:
    """d_model: the target's, else that of the first vector.

    Raises CheckpointError where the target has no block K, InputError where there is no vector.
    """
    if target is not None and config.target is not None:
        shape = text_config(load_config(target, trust_remote_code=config.target.trust_remote_code))
        if config.layer >= shape.num_hidden_layers:
            raise CheckpointError(
                f"{config.target}: layer {config.layer}: the model has {shape.num_hidden_layers} blocks, "
                f"allowed 0..{shape.num_hidden_layers - 1}"
            )
        return int(shape.hidden_size)
    first = next((one.vector for one in read_documents(config.corpus) if one.vector), None)
    if first is None:
        raise InputError(f"{', '.join(config.corpus.paths)}: not one vector in the corpus")
    return len(first) // 4


def survey_units(
    config: TrainingSetConfig, fingerprint: str, doing: Doing
) -> tuple[Survey, tuple[Task, ...], Faults]:
    """Read the corpus once: its units. How many rows they lead to is found where they are read.

    Raises InputError where not one document can be used.
    """
    survey, content, faults = Survey(vectors=None), hashlib.sha256(), Faults()
    tasks: list[Task] = []
    for source, documents in units_of(config.corpus):
        content.update("".join(document.content_digest() for document in documents).encode())
        survey.documents += len(documents)
        faults.add_unit(source, documents, [document.problem for document in documents])
        tasks.append(Task(unit_id_of(fingerprint, documents), source, len(documents)))
        doing("planning", survey.documents)
    faults.require_usable(config.corpus.paths)
    faults.require_meta(config.corpus.paths)
    survey.unusable, survey.sha256 = faults.unusable, content.hexdigest()
    return survey, tuple(tasks), faults
