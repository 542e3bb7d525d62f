"""A small training set of a tiny target: its configuration, and what came of it."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from nla_ray.config.training.training_set import SPLITS, TrainingSetConfig

SENTENCE = "the model said that it was true and that other one is not thing they had in mind"
DOCUMENTS = 60
D_MODEL, LAYER = 32, 2
VECTORS_ALONE: dict[str, Any] = {
    "provider": None,
    "shares": {"av_sft": 0, "ar_sft": 0, "rl": 0.5, "held_out": 0.5},
}
"""Nobody is asked."""


def text(number: int) -> str:
    """The text of a document: always the same, unlike all others."""
    rng, words = random.Random(number), SENTENCE.split()
    return " ".join(rng.choice(words) for _ in range(40))


def write_corpus(folder: Path, texts: list[str] | None = None) -> Path:
    """Documents with ids and a word of meta."""
    texts = [text(number) for number in range(DOCUMENTS)] if texts is None else texts
    rows = [{"id": f"doc{at}", "text": one, "said": at} for at, one in enumerate(texts)]
    path = folder / "corpus.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def values(folder: Path, target: Path | None, **changes: Any) -> dict[str, Any]:
    """The configuration, with an endpoint at a port where nobody listens."""
    return {
        "output": str(folder / "set"),
        "target": None if target is None else str(target),
        "layer": LAYER,
        "corpus": {"paths": [str(folder / "corpus.jsonl")], "text": "text", "id": "id", "meta": ["said"],
                   "unit_documents": 15},
        "positions_per_doc": 3,
        "min_position": 5,
        "shares": {"av_sft": 0.4, "ar_sft": 0.3, "rl": 0.2, "held_out": 0.1},
        "provider": {"kind": "endpoint", "base_url": "http://127.0.0.1:9/v1", "model": "m",
                     "max_requests": 1000, "timeout_s": 5},
    } | changes  # fmt: skip


def config(folder: Path, target: Path | None, url: str | None = None, **changes: Any) -> TrainingSetConfig:
    """The same, checked; `url` of the endpoint."""
    found = values(folder, target, **changes)
    if url is not None:
        found["provider"] = found["provider"] | {"base_url": url}
    return TrainingSetConfig.model_validate(found)


def tables(output: str | Path) -> dict[str, pa.Table]:
    """The rows of every split."""
    found = {}
    for split in SPLITS:
        parts = sorted(Path(output, split).glob("part-*.parquet"))
        if parts:
            found[split] = pa.concat_tables([pq.read_table(part) for part in parts])
    return found
