"""Evaluate a pair: decode held-out activations with every control, read edited texts, count, write a page."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nla_ray import __version__
from nla_ray.config.evaluate import EvaluateConfig
from nla_ray.demo.vocabulary import vocabulary
from nla_ray.errors import InputError
from nla_ray.evaluation import fidelity as measures
from nla_ray.evaluation.intervals import Documents
from nla_ray.evaluation.model import Denominator, Evaluation, Provenance, Times
from nla_ray.evaluation.planted import agreement, planted
from nla_ray.evaluation.recurrence import recurrence
from nla_ray.evaluation.report.write import write_evaluation
from nla_ray.evaluation.robustness import Rebuild, Texts, choose, distractors, robustness
from nla_ray.evaluation.rows import Rows, read_rows, read_vectors
from nla_ray.evaluation.truth import Property, Vocabulary
from nla_ray.models import directory_of, pinned_models
from nla_ray.nla.model.ranks import spread
from nla_ray.nla.reconstruction import fidelity
from nla_ray.nla.reconstruction.reconstructor import Reconstructor
from nla_ray.pages.data import Reference
from nla_ray.pipelines.decode.outcome.summary import Summary
from nla_ray.pipelines.decode.run import Decoded, Progress, decode
from nla_ray.pipelines.decode.telling.meter import Report
from nla_ray.stages.device import device_of
from nla_ray.store import connect
from nla_ray.store.places.tree import Tree
from nla_ray.tables import REAL
from nla_ray.text import masked


@dataclass(frozen=True)
class Evaluated:
    """An evaluation, where it was written, and the summary of the decode that it is made from."""

    evaluation: Evaluation
    output: str
    summary: Summary


@dataclass(frozen=True)
class Tables:
    """What a decode left: rows that had a vector; vectors [d] by row id; what the run says of itself."""

    rows: Rows
    documents: int
    vectors: dict[str, np.ndarray]
    facts: dict[str, Any]
    record: dict[str, Any]
    quarantined: int


def evaluate(config: EvaluateConfig, *, report: Report = lambda _: None) -> Evaluated:
    """Measure a pair and write evaluation.json and evaluation.html; the same again differs in times alone.

    A decode that was finished before is not made again. Raises NlaError for what cannot be used.
    """
    config = config.model_copy(update={"models": pinned_models(config.models)})
    decoding = config.decoding()
    output = Tree(config.output)
    output.names("")
    decoded = decode(decoding, add=True, report=report)
    started = time.perf_counter()
    report(Progress("reading the tables"))
    tables = read_tables(decoding.output, decoded.run_id)
    rebuild = reconstructor_of(config)
    evaluation = evaluate_tables(config, decoded, tables, rebuild, lambda doing: report(Progress(doing)))
    seconds = time.perf_counter() - started
    timed = evaluation.model_copy(update={"times": times_of(tables.record, seconds)})
    write_evaluation(timed, output)
    return Evaluated(timed, output.url, decoded.summary)


def read_tables(output: str, run: str) -> Tables:
    """The rows of a run that are about a vector, and the vectors. Raises InputError where there is none."""
    with connect(output, runs=[run]) as connection:
        rows, ids = read_rows(connection, run)
        vectors = read_vectors(connection, run)
        found = connection.execute(
            "SELECT facts::VARCHAR, record::VARCHAR, quarantined FROM runs WHERE run_id = $run", {"run": run}
        ).fetchall()
    facts, record, quarantined = found[0]
    rows = rows.take(np.isfinite(rows.norm))
    if not len(rows):
        raise InputError(
            f"{output}: not one vector could be read; ask `SELECT reason, count(*) FROM failures GROUP BY 1`"
        )
    return Tables(rows, len(ids), vectors, json.loads(facts), json.loads(record), quarantined)


def reconstructor_of(config: EvaluateConfig) -> Rebuild:
    """The reconstructor in this process, on the device of the configuration."""
    ar = config.models.ar
    if ar is None:
        raise InputError("models.ar: name the reconstructor")
    device, dtype = device_of(config.engine)
    made = spread(
        config.engine.ranks,
        Reconstructor,
        directory_of(ar),
        dtype=dtype,
        device=device,
        batch_tokens=config.engine.batch_tokens,
        facts=config.models.pair,
        trust_remote_code=ar.trust_remote_code,
    )
    return made.reconstruct


def evaluate_tables(
    config: EvaluateConfig,
    decoded: Decoded,
    tables: Tables,
    rebuild: Rebuild,
    doing: Callable[[str], None] = lambda _: None,
) -> Evaluation:
    """Everything that is counted, without times."""
    rows, documents = tables.rows, Documents(tables.documents)
    real = rows.of(REAL)
    places, vectors = places_of(real, tables.vectors)
    baselines = baselines_of(tables.record, vectors)
    doing("counting")
    measured, verdict, reasons = measures.judge(
        measures.measure(rows, documents, baselines), config.minimum_documents
    )
    chosen = choose(real, config.edited_texts, config.seed)
    doing("reading edited texts")
    own = np.array([tables.vectors[row] for row in chosen.row_id]).reshape(len(chosen), vectors.shape[1])
    texts = Texts(chosen, own, rebuild(chosen.text.tolist()), config.seed)
    channel = robustness(texts, rebuild, documents, baselines)
    asked = vocabulary_of(config)
    doing("counting recurrence")
    recurring, distance = recurrence(real, documents, config.seed)
    return Evaluation(
        version=__version__,
        verdict=verdict,
        reasons=reasons,
        provenance=provenance_of(config, decoded.run_id, tables),
        baseline=_denominator(baselines.stated, tables.record["baseline"]["n"]),
        own_variance=_denominator(baselines.own, baselines.own.n),
        histogram_edges=measures.EDGES,
        measured=measured,
        buckets=measures.buckets(real, documents, baselines),
        robustness=channel,
        recurrence=recurring,
        neighbour_distance=distance,
        distractors=distractors(texts, places, vectors, documents),
        planted=planted(rows, documents, asked),
        agreement=agreement(real, config.sampling.samples, documents, asked),
        generated_tokens=int(rows.tokens.sum()),
        read_tokens=tables.record["tokens"],
        times=times_of(tables.record, 0.0),
    )


def vocabulary_of(config: EvaluateConfig) -> Vocabulary:
    """What explanations are asked about documents: by the corpus's own columns, or the demo world's truth."""
    if not config.truth:
        return vocabulary()
    return Vocabulary(
        tuple(
            Property(one.column, one.words, anywhere=not one.first_paragraph, column=one.column)
            for one in config.truth
        )
    )


def places_of(real: Rows, vectors: dict[str, np.ndarray]) -> tuple[Rows, np.ndarray]:
    """The first row of every vector, and the vectors [places, d]."""
    first: dict[str, int] = {}
    for at, row in enumerate(real.row_id):
        first.setdefault(row, at)
    places = real.take(np.array(list(first.values()), np.int64))
    return places, np.array([vectors[row] for row in places.row_id])


def baselines_of(record: dict[str, Any], vectors: np.ndarray) -> measures.Baselines:
    """The run's denominator, and those over its vectors [n, d]. Raises InputError where there is none."""
    stated = record["baseline"]
    if stated is None:
        raise InputError("baseline: the vectors have no variance; evaluate more than one, or give `baseline`")
    reference = "the evaluated vectors"
    return measures.Baselines(
        fidelity.Baseline(stated["value"], stated["reference"], stated["n"] or 0),
        fidelity.variance_baseline(vectors, reference),
        fidelity.meannorm_baseline(vectors, reference),
    )


def _denominator(baseline: fidelity.Baseline, n: int | None) -> Denominator:
    return Denominator(value=baseline.value, reference=baseline.reference, n=n)


def provenance_of(config: EvaluateConfig, run: str, tables: Tables) -> Provenance:
    """What was evaluated, as the run's plan and manifest say."""
    facts, corpus = tables.facts, tables.facts["corpus"]
    return Provenance(
        run_id=run,
        target=_reference(facts, "target"),
        av=_reference(facts, "av"),
        ar=_reference(facts, "ar"),
        layer=facts["layer"],
        corpus=", ".join(config.corpus.paths),
        corpus_sha256=corpus["sha256"],
        documents=corpus["documents"] if config.corpus.vectors is None else tables.documents,
        unusable=corpus["unusable"],
        vectors=len(tables.vectors),
        quarantined=tables.quarantined,
        samples=config.sampling.samples,
        seed=config.seed,
        config_sha256=config.fingerprint(),
        config=masked(config.canonical()),
        versions=tables.record["versions"] if "versions" in tables.record else facts["versions"],
    )


def _reference(facts: dict[str, Any], role: str) -> Reference:
    found = facts["weights"].get(role)
    if found is None:
        return Reference(ref=facts["models"].get(role) or "not known")
    return Reference(ref=found["ref"], commit=found["commit"], sha256=found["sha256"])


def times_of(record: dict[str, Any], seconds: float) -> Times:
    """Times of the decode as it recorded them, and of the evaluation after it."""
    busy, vectors = record["busy_seconds"], record["vectors"]
    return Times(
        decoded_at=record["finished_at"],
        seconds_per_vector=sum(busy.values()) / vectors if vectors else None,
        vectors_per_second=record["attempt"]["vectors_per_second"] or None,
        busy_seconds=busy,
        evaluation_seconds=seconds,
    )
