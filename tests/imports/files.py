"""Files of results as other tools write them, made on the spot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

RULE = "─" * 80
HEADER = f"""{"═" * 80}
NLA (Natural Language Autoencoder) — WORKED EXAMPLE
{"═" * 80}
AV checkpoint:     someone/pair-L20-av
AR checkpoint:     someone/pair-L20-ar
Extraction model:  someone/model-7b
Extraction:        layer 20 residual stream (= HF hidden_states[21], output of block 20)
fve_nrm:           1 - mse_nrm / 0.7335. Denominator is Var(v_nrm) from the TRAINING dataset — the
                   predict-the-mean baseline MSE.
{RULE}
3. PER-TOKEN NLA INFERENCE (layer-20 activation → explanation)
{RULE}
"""
FOOTER = f"""
─── Summary (positions 24+) ───
  mse_nrm:  mean=0.220  median=0.181
{RULE}
4. SAMPLING VARIANCE — pos 99 (token='!', ||v||=110.1)
{RULE}
  t=1 sample 0:
    Another answer.
    → MSE=0.132  cos=0.934
"""


def transcript(rows: Sequence[tuple[str, str, str]], header: str = HEADER, footer: str = FOOTER) -> str:
    """Rows of section, token and explanation, at positions 0, 1, ..."""
    lines = []
    for position, (section, token, text) in enumerate(rows):
        numbers = "||v||=115.8  mse_nrm=0.188  cos=0.906  fve_nrm=0.744"
        lines.append(f"[{position:3d}]  {section:6}  token={token!r}  {numbers}")
        lines += [f"    {line}" for line in text.split("\n")]
        lines.append("")
    return header + "\n".join(lines) + footer


def json_file(path: Path, explanations: Sequence[object], **more: object) -> Path:
    path.write_text(json.dumps({"run_name": "sweep-a", **more, "explanations": list(explanations)}))
    return path


def jsonl_file(path: Path, rows: Sequence[object]) -> Path:
    """Rows as lines of JSON; text is written as it stands."""
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def answer(position: int = 20, rollout: int = 0, **values: object) -> dict[str, object]:
    """One entry of the JSON format."""
    text = f"A note about item {position}, the {rollout}. time."
    fixed = {
        "explanation": text,
        "raw": f"<explanation>{text}</explanation>",
        "greedy": False,
        "kind": "response",
        "pos": position,
        "prompt_idx": 3,
        "ptype": "chat",
        "rollout": rollout,
        "token": " cat",
    }
    return {**fixed, **values}


def line(index: int, text: str = "A cat sits there.", **values: object) -> dict[str, object]:
    """One line of the JSON lines format."""
    fixed = {"token_index": index, "token_text": f" t{index}", "activation_norm": 12.5, "nla_output": text}
    return {**fixed, **values}


def parquet_file(path: Path, columns: Mapping[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(dict(columns)), path, **options)
    return path


def vectors(n: int, d: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def lists_of(values: np.ndarray, *, fixed: bool = True) -> pa.Array:
    flat = pa.array(values.reshape(-1))
    if fixed:
        return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    return pa.ListArray.from_arrays(np.arange(len(values) + 1, dtype=np.int32) * values.shape[1], flat)
