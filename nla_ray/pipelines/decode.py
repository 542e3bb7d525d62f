"""Decode a corpus in this process: documents to one table of explanations and a record of the run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from nla_ray.config.decode import Baseline, DecodeConfig
from nla_ray.config.reference import ModelRef
from nla_ray.errors import CheckpointError
from nla_ray.ids import digest
from nla_ray.nla.preflight import check
from nla_ray.nla.resolve import resolve
from nla_ray.nla.sidecar import read_sidecar
from nla_ray.pipelines.baseline import baseline_of
from nla_ray.pipelines.output import TABLE, check_output, write
from nla_ray.pipelines.provenance import ModelRecord, model_record, versions
from nla_ray.pipelines.summary import Summary, summarize
from nla_ray.stages.decode import Checkpoints, DecodeStage, device_of
from nla_ray.stages.documents import DEMO_CORPUS, read_documents
from nla_ray.stages.rows import Identity
from nla_ray.stages.vector_files import VectorOrigin, check_vectors
from nla_ray.tables import CONTROLS, EXPLANATIONS, REAL

T = TypeVar("T")


@dataclass(frozen=True)
class Progress:
    """Where a run is: what it does, and how many documents and answers are done."""

    doing: str
    documents: int
    of: int
    answers: int
    seconds: float


Report = Callable[[Progress], None]


@dataclass(frozen=True)
class Survey:
    """A corpus before it is decoded: its documents, how many cannot be read, a digest of all of them."""

    documents: int
    unusable: int
    sha256: str


@dataclass(frozen=True)
class Run:
    """A finished run: its table and where it is, its summary, the record that was written beside it."""

    table: pa.Table
    summary: Summary
    record: dict[str, Any]
    path: Path


def decode(config: DecodeConfig, *, replace: bool = False, report: Report = lambda _: None) -> Run:
    """Decode the corpus and write `explanations.parquet` and `run.json` into the output folder.

    Everything that can be checked without weights is checked first. `replace` allows to overwrite the table
    of another run. Raises NlaError; a fault of one document or vector is a row instead.
    """
    started = time.perf_counter()
    survey = survey_corpus(config)
    report(Progress("checking the models", 0, survey.documents, 0, 0.0))
    device, dtype = device_of(config.engine)
    preflight(config)
    checkpoints = find_checkpoints(config)
    models = record_models(config, checkpoints)
    origin = vector_origin(config, checkpoints)
    identity = identify(config, survey, checkpoints, models, origin)
    check_output(config.output, identity.run_id, replace=replace)
    report(Progress("loading the models", 0, survey.documents, 0, 0.0))
    stage = DecodeStage(config, checkpoints, identity)
    loaded = time.perf_counter()
    tables, done, answers = [EXPLANATIONS.empty_table()], 0, 0
    documents = read_documents(config.corpus, listed=config.positions.column)
    for unit in batched(documents, config.corpus.unit_documents):
        tables.append(stage(unit))
        done, answers = done + len(unit), answers + tables[-1].num_rows
        report(Progress("decoding", done, survey.documents, answers, time.perf_counter() - loaded))
    baseline = baseline_of(config, checkpoints, stage.tally.directions)
    table = finish(pa.concat_tables(tables), baseline)
    summary = summarize(table, {"load": loaded - started, **stage.tally.seconds})
    record = {
        "run_id": identity.run_id,
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "fingerprint": identity.fingerprint,
        "config": config.model_dump(mode="json"),
        "corpus": asdict(survey) | {"truncated": stage.tally.truncated},
        "warnings": [] if origin is None else list(origin.warnings),
        "models": {role: asdict(model) for role, model in models.items()},
        "layer": identity.layer,
        "device": str(device),
        "dtype": str(dtype).removeprefix("torch."),
        "versions": versions(),
        "baseline": None if baseline is None else baseline.model_dump(),
        "summary": summary.as_json(),
        "planted": planted_scores(config, table),
    }
    write(config.output, table, record)
    return Run(table, summary, record, config.output / TABLE)


def survey_corpus(config: DecodeConfig) -> Survey:
    """Read the corpus once, without models: fails early, and gives the run its identity."""
    digests, unusable = [], 0
    for document in read_documents(config.corpus, listed=config.positions.column):
        digests.append(document.content_digest())
        unusable += document.problem is not None
    return Survey(len(digests), unusable, digest("corpus", *digests))


def preflight(config: DecodeConfig) -> None:
    """Raise CheckpointError with the first failed check of the three models, before any weight is loaded."""
    models = config.models
    checks = check(models.av, models.ar, models.target, injection_scale=models.injection_scale)
    failed = [made for made in checks if made.status == "fail"]
    if failed:
        first, others = failed[0], len(failed) - 1
        more = f" (and {others} more; `nla-ray check` shows all)" if others else ""
        raise CheckpointError(f"{first.subject}: {first.name}: {first.detail}{more}")


def find_checkpoints(config: DecodeConfig) -> Checkpoints:
    """Local directories of the models, fetched from the hub where they are not here."""
    models = config.models
    ar = None if models.ar is None else resolve(models.ar)
    target = None if models.target is None else resolve(models.target)
    return Checkpoints(target, resolve(models.av), ar)


def vector_origin(config: DecodeConfig, checkpoints: Checkpoints) -> VectorOrigin | None:
    """Where given vectors come from, checked against the verbalizer; None for a corpus of documents."""
    if config.corpus.vectors is None:
        return None
    sidecar = read_sidecar(checkpoints.av, role="av", injection_scale_override=config.models.injection_scale)
    return check_vectors(config.corpus, d_model=sidecar.d_model, layer=sidecar.layer)


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
    survey: Survey,
    checkpoints: Checkpoints,
    models: dict[str, ModelRecord],
    origin: VectorOrigin | None = None,
) -> Identity:
    """What all rows share; equal recipe, corpus and weights have the same run id on every machine."""
    fingerprint = config.fingerprint()
    run_id = digest("run", fingerprint, survey.sha256, *(model.sha256 for model in models.values()))[:32]
    scale = config.models.injection_scale
    sidecar = read_sidecar(checkpoints.av, role="av", injection_scale_override=scale)
    ar = str(models["ar"]) if "ar" in models else None
    target = str(models["target"]) if "target" in models else None
    if target is None and origin is not None:
        target = origin.base_model
    av = str(models["av"])
    return Identity(run_id, fingerprint, sidecar.layer, config.seed, target, av, ar)


def finish(table: pa.Table, baseline: Baseline | None) -> pa.Table:
    """Fill in `fve_nrm` and bring the rows into their order: document, position, control, sample."""
    if baseline is not None:
        fve = pc.subtract(1.0, pc.divide(pc.cast(table["mse_nrm"], pa.float64()), baseline.value))
        at = table.schema.get_field_index("fve_nrm")
        table = table.set_column(at, table.schema.field(at), pc.cast(fve, pa.float32()))
    keys = ("doc_id", "position", "control", "sample")
    return table.sort_by([(key, "ascending") for key in keys])


def planted_scores(config: DecodeConfig, table: pa.Table) -> dict[str, list[dict[str, Any]]] | None:
    """How often explanations name the demo corpus's planted truth, by control; None for any other corpus."""
    if DEMO_CORPUS not in config.corpus.paths:
        return None
    from nla_ray.demo.score import score_table

    found = score_table(table)
    return {
        control: [asdict(score) for score in found[control]]
        for control in (REAL, *CONTROLS)
        if control in found
    }


def batched(items: Iterable[T], n: int) -> Iterator[list[T]]:
    """Lists of `n` items in order, the last one shorter."""
    source = iter(items)
    while batch := list(islice(source, n)):
        yield batch
