"""Rows, vectors and a reconstructor that are made up: a text's vector is the sum of its words' directions."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from nla_ray.evaluation import fidelity as measures
from nla_ray.evaluation.fidelity import Baselines
from nla_ray.evaluation.intervals import Documents
from nla_ray.evaluation.model import Evaluation, Provenance
from nla_ray.evaluation.recurrence import recurrence
from nla_ray.evaluation.robustness import Texts, choose, distractors, robustness
from nla_ray.evaluation.rows import Rows
from nla_ray.nla.reconstruction import fidelity
from nla_ray.tables import CONTROLS, REAL

D = 24
DOCUMENTS, POSITIONS, SAMPLES = 40, 3, 2
TOPICS = ("harbour", "orchard", "violin", "glacier", "bakery", "railway", "desert", "lantern")


def rebuild(texts: Sequence[str]) -> np.ndarray:
    """The sum [n, d] of a fixed direction and one for every word of the text."""
    return np.array([sum(map(direction, text.split()), direction("always")) for text in texts], np.float32)


@cache
def direction(word: str) -> np.ndarray:
    """The direction [d] of a word."""
    return np.random.default_rng(zlib.crc32(word.encode())).standard_normal(D)


def said(document: int, position: int, sample: int) -> str:
    """Two sections: the document's topic, and a quotation that is the position's own."""
    topic, other = TOPICS[document % len(TOPICS)], TOPICS[(document + 3) % len(TOPICS)]
    name = "abcdefgh"[document % 8] * 3
    ending = f'it ends in "at{position} p{document}"'
    return f"about the {topic} and doc{name} {other if sample else topic}\n\n{ending}"


def world(*, real: float = 0.3, controls: Sequence[str] = CONTROLS) -> tuple[Rows, dict[str, np.ndarray]]:
    """Rows with every control, and the vectors: what a text describes, and noise of this share of it."""
    vectors = {
        f"{document}-{position}": noisy(said(document, position, 0), real, f"{document}-{position}")
        for document in range(DOCUMENTS)
        for position in range(POSITIONS)
    }
    made = [
        row(document, position, control, sample, vectors)
        for document in range(DOCUMENTS)
        for position in range(POSITIONS)
        for control in (REAL, *controls)
        for sample in range(SAMPLES)
    ]
    return rows_of(made), vectors


def noisy(text: str, share: float, key: str) -> np.ndarray:
    clean = rebuild([text])[0]
    noise = direction(f"noise {key}")
    return np.asarray(clean + noise * share * np.linalg.norm(clean) / np.linalg.norm(noise), np.float32)


def row(
    document: int, position: int, control: str, sample: int, vectors: dict[str, np.ndarray]
) -> dict[str, Any]:
    key = f"{document}-{position}"
    other = (document + 1 + CONTROLS.index(control)) % DOCUMENTS if control != REAL else document
    text = said(other, position, sample)
    cos = float(fidelity.cos(vectors[key], rebuild([text])[0]))
    return {
        "document": document, "row_id": key if control == REAL else f"{key}-{control}",
        "position": 20 * (position + 1), "control": control, "sample": sample, "outcome": "ok", "flags": (),
        "text": text, "tokens": 10 + sample, "norm": float(np.linalg.norm(vectors[key])), "cos": cos,
        "mse": 2 * (1 - cos), "kind": ("punctuation", "word, first part")[position % 2], "meta": None,
    }  # fmt: skip


def rows_of(made: Sequence[dict[str, Any]]) -> Rows:
    """Rows from one dictionary each."""

    def column(name: str) -> np.ndarray:
        values = [one[name] for one in made]
        if name in ("document", "position", "sample", "tokens"):
            return np.array(values, np.int64)
        if name in ("norm", "cos", "mse"):
            return np.array(values, np.float64)
        found = np.empty(len(values), object)
        found[:] = values
        return found

    names = (
        "document", "row_id", "position", "control", "sample", "outcome", "flags", "text", "tokens", "norm",
        "cos", "mse", "kind", "meta",
    )  # fmt: skip
    return Rows(**{name: column(name) for name in names})


def changed(rows: Rows, where: np.ndarray, **values: object) -> Rows:
    """Copies of rows with other values in those of a mask."""
    made = {name: getattr(rows, name).copy() for name in rows.__dataclass_fields__}
    for name, value in values.items():
        for at in np.flatnonzero(where):
            made[name][at] = value
    return Rows(**made)


def baselines(vectors: dict[str, np.ndarray]) -> Baselines:
    all_vectors = np.array(list(vectors.values()))
    own = fidelity.variance_baseline(all_vectors, "the evaluated vectors")
    return Baselines(own, own, fidelity.meannorm_baseline(all_vectors, "the evaluated vectors"))


def drawn() -> Documents:
    return Documents(DOCUMENTS)


def truth(**shown: int) -> str:
    """The demo world's truth as a document's `meta`."""
    values = {
        "topic": "cycling",
        "item": "tandems",
        "mood": "positive",
        "safety": "none",
        "theme": "deception",
    }
    return json.dumps({"truth": values | {"shown": shown}})


def provenance(text: str = "x") -> Provenance:
    """Where an evaluation comes from, with this as every free text."""
    reference = {"ref": text, "commit": text, "sha256": text}
    return Provenance.model_validate(
        {
            "run_id": text, "target": reference, "av": reference, "ar": reference, "layer": 2, "corpus": text,
            "corpus_sha256": text, "documents": 40, "unusable": 1, "vectors": 120, "quarantined": 2,
            "samples": 2, "seed": 0, "config_sha256": text, "config": text, "versions": {text: text},
        }
    )  # fmt: skip


def evaluation(text: str = "x", **changes: object) -> Evaluation:
    """An evaluation of the made-up world, with this as every free text."""
    stated = {"value": 1.0, "reference": text, "n": 120}
    times = {
        "decoded_at": text, "seconds_per_vector": 0.1, "vectors_per_second": 10.0,
        "busy_seconds": {text: 1.0}, "evaluation_seconds": 1.0,
    }  # fmt: skip
    free = {"version": text, "provenance": provenance(text), "baseline": stated, "own_variance": stated}
    counted = counts()
    reasons = {"reasons": (*counted["reasons"], text), "times": times}
    return Evaluation.model_validate(counted | free | reasons | changes)


@cache
def counts() -> dict[str, Any]:
    """What is counted in the made-up world."""
    rows, vectors = world()
    real, documents, denominators = rows.of(REAL), drawn(), baselines(vectors)
    measured, verdict, reasons = measures.judge(measures.measure(rows, documents, denominators), 30)
    chosen = choose(real, 1000, 0)
    own = np.array([vectors[key] for key in chosen.row_id])
    texts = Texts(chosen, own, rebuild(chosen.text.tolist()), 0)
    recurring, distance = recurrence(real, documents, 0)
    return {
        "verdict": verdict, "reasons": reasons, "histogram_edges": measures.EDGES, "measured": measured,
        "buckets": measures.buckets(real, documents, denominators),
        "robustness": robustness(texts, rebuild, documents, denominators),
        "recurrence": recurring, "neighbour_distance": distance,
        "distractors": distractors(texts, chosen, own, documents),
        "generated_tokens": 10, "read_tokens": 10,
    }  # fmt: skip
