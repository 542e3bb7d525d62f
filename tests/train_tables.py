"""A training set that small models can learn: a vector is the sum of the directions of its words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from tests.tiny import AR_TEMPLATE, AV_TEMPLATE

WORDS = ("model", "true", "other", "thing", "mind", "text")
ROWS = {"ar_sft": 24, "av_sft": 24, "rl": 12, "held_out": 10}


def write_set(
    folder: Path, *, d_model: int = 32, layer: int = 2, av: str = AV_TEMPLATE, ar: str = AR_TEMPLATE
) -> Path:
    """All four splits, published schema, one file each."""
    for at, (split, rows) in enumerate(ROWS.items()):
        path = folder / split / "part-00000.parquet"
        path.parent.mkdir(parents=True)
        write_split(path, columns(split, rows, d_model, at, av, ar), split, d_model, layer)
    return folder


def columns(split: str, rows: int, d_model: int, seed: int, av: str, ar: str) -> dict[str, Any]:
    """The columns of a split; two rows are of one document."""
    rng = np.random.default_rng(seed)
    directions = np.random.default_rng(99).standard_normal((len(WORDS), d_model))
    chosen = rng.integers(len(WORDS), size=(rows, 3))
    texts = [" ".join(WORDS[word] for word in row) for row in chosen]
    vectors = directions[chosen].sum(axis=1) + 0.1 * rng.standard_normal((rows, d_model))
    found: dict[str, Any] = {
        "activation_vector": pa.FixedSizeListArray.from_arrays(vectors.astype(np.float32).ravel(), d_model),
        "doc_id": [f"{split}-{row // 2}" for row in range(rows)],
    }
    message = [{"role": "user", "content": av.format(injection_char="<INJECT>")}]
    if split == "ar_sft":
        found["prompt"] = [ar.format(explanation=text) for text in texts]
    else:
        found["prompt"] = [message] * rows
    if split == "av_sft":
        found["response"] = [f"<explanation>\n{text}\n</explanation>" for text in texts]
    if split != "rl":
        found["api_explanation"] = texts
    return found


def write_split(
    path: Path, values: dict[str, Any], split: str, d_model: int, layer: int, **extraction: Any
) -> None:
    """One file and its sidecar."""
    table = pa.table(values)
    pq.write_table(table, path)
    sidecar = {
        "kind": "nla_dataset", "schema_version": 1, "stage": split, "row_count": table.num_rows,
        "extraction": {"base_model": "tiny", "d_model": d_model, "layer_index": layer, "norm": "none"}
        | extraction,
    }  # fmt: skip
    Path(f"{path}.nla_meta.yaml").write_text(yaml.safe_dump(sidecar))


def train_values(folder: Path, target: Path, data: Path, **changes: Any) -> dict[str, Any]:
    """A training of both warm starts in a few steps, without a report."""
    return {
        "output": str(folder / "out"),
        "target": str(target),
        "data": {"path": str(data)},
        "stages": {
            "sft_ar": {"steps": 6, "lr": 0.003, "batch": 8, "micro_batch": 4},
            "sft_av": {"steps": 4, "lr": 0.003, "batch": 8, "micro_batch": 4},
        },
        "saving": {"every": 2},
        "held_out": {"rows": 8, "max_new_tokens": 12, "slots": 8},
        "report": None,
        "seed": 3,
    } | changes  # fmt: skip
