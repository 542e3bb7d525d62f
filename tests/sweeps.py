"""Small sweeps: two models with one tiny pair over two corpora, for tests."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nla_ray.config.sweep import SweepConfig
from tests.conftest import NlaDirs
from tests.tiny import tiny_checkpoint

TEXT = "the model said that it was true and that the other one is not the thing they had in mind "
PACK = Path(__file__).parents[1] / "schemas/detectors/sabotage.yaml"
WEEKS = ("2026-W46", "2026-W47")


def write_corpus(folder: Path, week: str, corpus: str, documents: Sequence[str]) -> None:
    """A corpus of a week, `<corpus>/<week>.jsonl`; each document has its id for its words."""
    path = folder / corpus / f"{week}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"id": one, "text": f"{one} {TEXT * 2}"} for one in documents]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def sweep_values(folder: Path, dirs: NlaDirs, **changes: Any) -> dict[str, Any]:
    """A configuration below a folder: `base` and `tuned` (other weights), `notes` and `chats`."""
    names = ("target", "av", "ar")
    for name, source in zip(names, dirs, strict=True):
        if not (folder / name).exists():
            shutil.copytree(source, folder / name)
    if not (folder / "tuned").exists():
        tiny_checkpoint("qwen2", folder / "tuned", seed=7)
    corpora = [
        {
            "name": name,
            "paths": [f"{folder}/in/{name}/{{week}}.jsonl"],
            "text": "text",
            "id": "id",
            "unit_documents": 2,
            "units": "count",
        }
        for name in ("notes", "chats")
    ]
    return {
        "name": "small",
        "root": str(folder / "root"),
        "targets": [
            {"name": "base", **{name: str(folder / name) for name in names}},
            {"name": "tuned", "target": str(folder / "tuned"), "base": "base"},
        ],
        "corpora": corpora,
        "positions": {"n": 2},
        "controls": {"shuffled": 0.5, "random": 0.5},
        "sampling": {"max_new_tokens": 6},
        "engine": {"slots": 8},
        "prove": False,
        "audit": {"packs": [str(PACK)]},
    } | changes


def sweep_config(folder: Path, dirs: NlaDirs, **changes: Any) -> SweepConfig:
    """The same, checked, with both corpora of both weeks in place."""
    for week, of_week in zip(WEEKS, (("a", "b", "c", "d"), ("c", "d", "e", "f")), strict=True):
        for corpus in ("notes", "chats"):
            write_corpus(folder / "in", week, corpus, [f"{corpus}-{one}" for one in of_week])
    return SweepConfig.model_validate(sweep_values(folder, dirs, **changes))
