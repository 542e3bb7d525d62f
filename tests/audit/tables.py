"""Committed tables and a pack of detectors for whole audits: a planted world, written through the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from pathlib import Path

import pyarrow as pa
import yaml
from pydantic import JsonValue

from nla_ray.store import open_run, open_store
from nla_ray.store.runs.plan import Plan
from nla_ray.tables import DOCUMENTS, EXPLANATIONS, table_of
from nla_ray.text import normalise
from tests.audit.planted import Row

TEXT = "They talk about the garden and how the roses grow there."


def write_tables(
    root: str | Path,
    rows: Iterable[Row],
    run_id: str = "week1",
    *,
    documents: bool = True,
    recipe: Mapping[str, JsonValue] | None = None,
    units: int = 1,
    meta: Callable[[int], str] | None = None,
) -> str:
    """Commit one run of these rows; a mention is a sentence of the explanation. Returns the root.

    `recipe`: what the run's configuration says beside its corpus. Documents are dealt out to `units`; `meta`
    is JSON about each.
    """
    dealt: dict[str, list[dict[str, object]]] = {}
    for row in rows:
        unit = f"u{row.doc % units}"
        about = {} if meta is None else {"meta": meta(row.doc)}
        dealt.setdefault(unit, []).append(_row(run_id, row) | {"unit_id": unit} | about)
    tables = {unit: table_of(some, EXPLANATIONS) for unit, some in dealt.items()}
    plan = Plan(
        run_id=run_id,
        units={unit: table.num_rows for unit, table in tables.items()},
        sides=("documents",) if documents else (),
        facts={
            "seed": 7,
            "layer": 3,
            "fingerprint": "f" * 64,
            "models": {
                role: {"ref": role, "commit": None, "sha256": "a" * 64} for role in ("target", "av", "ar")
            },
            "config": {"corpus": {"paths": ["corpus.jsonl"]}, **(recipe or {})},
            "versions": {"nla_ray": "0"},
        },
    )
    run = open_run(open_store(root), plan, add=True)
    for unit, table in tables.items():
        doc_ids = sorted(set(table["doc_id"].to_pylist()))
        run.write(unit, table, sides={"documents": _documents(run_id, unit, doc_ids)} if documents else {})
    run.commit({"baseline": {"value": 0.5, "reference": "test"}, "finished_at": "2026-01-02T03:04:05+00:00"})
    return str(root)


def write_pack(path: Path, *names: str, **values: object) -> Path:
    """A pack whose detectors look for what the rows say."""
    detectors = [
        {
            "id": name,
            "title": name,
            "description": f"speaks of {name}",
            "level": "high",
            "tier": "strong",
            "detection": {"groups": {"words": {"any": [f"speaks of {name}"]}}},
            # The same object twice would be an alias in YAML.
            **deepcopy(values),
        }
        for name in names
    ]
    pack = {"id": "planted", "title": "Planted", "description": "For tests.", "detectors": detectors}
    path.write_text(yaml.safe_dump(pack))
    return path


def write_config(path: Path, **values: object) -> Path:
    """An audit's configuration."""
    path.write_text(yaml.safe_dump(values))
    return path


def _row(run_id: str, row: Row) -> dict[str, object]:
    said = " ".join(["It is about a garden.", *(f"It speaks of {name}." for name in sorted(row.said))])
    return dict.fromkeys(EXPLANATIONS.names) | {
        "run_id": run_id, "row_id": f"{row.doc}-{row.place}-{row.control}",
        "doc_id": f"doc{row.doc:04}", "position": row.place, "token": "word", "role": "assistant",
        "control": row.control, "sample": row.sample, "seed": 7, "layer": 3, "outcome": "ok", "flags": [],
        "explanation": said, "explanation_norm": normalise(said), "raw_text": said, "finish_reason": "stop",
        "closed": True, "n_tokens": 9, "fve_nrm": row.fve, "provenance": "decoded",
    }  # fmt: skip


def _documents(run_id: str, unit: str, doc_ids: list[str]) -> pa.Table:
    fixed = {
        "run_id": run_id, "unit_id": unit, "response_start": None, "truncated": False,
        "left_out_before": 0, "left_out_after": 0, "flags": [],
    }  # fmt: skip
    rows = (
        fixed | _text(one) | {"doc_id": one, "source": f"corpus.jsonl:{at + 1}"}
        for at, one in enumerate(doc_ids)
    )
    return table_of(rows, DOCUMENTS)


def _text(doc_id: str) -> dict[str, object]:
    """A text that begins like the others and goes on otherwise: equal ones would be copies of each other."""
    text = f"{TEXT} {' '.join(f'{doc_id}-{at}' for at in range(len(TEXT)))}"
    ends = [at + len(word) for at, word in _words(text)]
    return {"text": text, "token_ends": ends, "roles": ["assistant"] * len(ends), "n_tokens": len(ends)}


def _words(text: str) -> list[tuple[int, str]]:
    at, found = 0, []
    for word in text.split(" "):
        found.append((at, word))
        at += len(word) + 1
    return found
