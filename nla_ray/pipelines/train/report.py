"""The report of a finished training: its pair, evaluated on held-out vectors beside every control."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq
import torch

from nla_ray.config.decode import Engine, Models, Sampling
from nla_ray.config.evaluate import EvaluateConfig
from nla_ray.config.models.reference import ModelRef
from nla_ray.config.reading.corpus import Corpus, Vectors
from nla_ray.config.runner import Pool, Runner
from nla_ray.config.training.train import TrainConfig
from nla_ray.evaluation.model import Evaluation
from nla_ray.evaluation.report.write import HTML, JSON
from nla_ray.nla.sidecar.read import Role
from nla_ray.pipelines.decode.run import Progress as Decoding
from nla_ray.pipelines.evaluate import evaluate
from nla_ray.store.places.files import expand, opened
from nla_ray.store.places.tree import Tree
from nla_ray.training.loop.metrics import Progress, Report

FOLDER = "report"
PAGE = f"{FOLDER}/{HTML}"
_TEXT, _TOKENS, _META = "detokenized_text_truncated", "n_raw_tokens", "meta"
"""Columns of the published schema that a held-out table may have."""


def write_report(
    config: TrainConfig, tree: Tree, trained: dict[Role, str], report: Report
) -> Evaluation | None:
    """Evaluate the newest AV and AR: where in the tree `trained` says that they are, else those of `init`.

    None where the training has no AV yet. One that was written before is only read. Raises NlaError.
    """
    found = tree.read(f"{FOLDER}/{JSON}")
    if found is not None and tree.read(PAGE) is not None:
        return Evaluation.model_validate_json(found)
    with TemporaryDirectory(prefix="nla_ray-") as scratch:
        av, ar = (_model(config, role, tree, trained, Path(scratch, role)) for role in ("av", "ar"))
        if av is None or ar is None:
            return None
        folder = tree.folder / FOLDER if tree.folder is not None else Path(scratch, FOLDER)
        done = evaluate(evaluation_of(config, av, ar, folder), report=partial(_tell, report))
        for name in (JSON, HTML):
            tree.upload(folder / name, f"{FOLDER}/{name}")
    return done.evaluation


def evaluation_of(config: TrainConfig, av: ModelRef, ar: ModelRef, folder: Path) -> EvaluateConfig:
    """The evaluation that a training ends with, as `nla-ray evaluate` takes it."""
    settings = config.report
    if settings is None:
        raise RuntimeError("no report is configured")
    held_out = config.splits["held_out"]
    columns = _columns(held_out)
    # Without positions, several vectors of a document can only be told apart by their values.
    known = _TOKENS in columns
    return EvaluateConfig(
        output=str(folder),
        models=Models(target=config.target, av=av, ar=ar),
        corpus=Corpus(
            paths=(held_out,), id=("doc_id",) if known else None, text=_TEXT if _TEXT in columns else None,
            vectors=Vectors(tokens=_TOKENS if known else None),
            meta=(_META,) if _META in columns else (), limit=settings.vectors,
        ),
        sampling=Sampling(samples=settings.samples, max_new_tokens=config.held_out.max_new_tokens),
        engine=Engine(dtype=config.dtype, slots=config.held_out.slots),
        seed=config.seed,
        runner=_runner(config),
    )  # fmt: skip


def _tell(report: Report, now: Decoding) -> None:
    report(Progress(FOLDER, now.units, now.of_units, doing=now.doing))


def _model(
    config: TrainConfig, role: Role, tree: Tree, trained: dict[Role, str], scratch: Path
) -> ModelRef | None:
    """The newest model of this role; on S3 a copy of it."""
    if role in trained:
        base = config.base(role) if config.releases_adapters else None
        return ModelRef(path=str(tree.fetch(trained[role], scratch).absolute()), base=base)
    start: ModelRef | None = getattr(config.init, role)
    return start


def _runner(config: TrainConfig) -> Runner:
    """The place of the training; what lies on S3 was copied to this machine, and is read in this process."""
    runner = config.runner
    if runner.name == "local" or "://" in config.output:
        return Runner()
    gpus = runner.gpus if runner.gpus is not None else int(torch.cuda.is_available())
    return Runner(
        name="ray", address=runner.address, pool=Pool(actors=runner.workers, cpus=runner.cpus, gpus=gpus)
    )


def _columns(url: str) -> frozenset[str]:
    first = next(file for file in expand(url).files if file.endswith(".parquet"))
    with opened(first) as stream:
        return frozenset(pq.read_schema(stream).names)
