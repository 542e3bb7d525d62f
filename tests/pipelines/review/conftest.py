"""A small audit whose hits, near misses and others are known."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from nla_ray.config.audit import AuditConfig
from tests.audit.planted import corpus, never
from tests.audit.tables import write_pack, write_tables


def says(rng: np.random.Generator, doc: int, place: int) -> Iterable[str]:
    """Every tenth document is about it; others joke of it, name it, or speak of tea."""
    return [{0: "sabotage", 1: "sabotage in jest", 2: "a sabotage"}.get(doc % 10, "tea")]


@pytest.fixture
def config(tmp_path: Path) -> AuditConfig:
    rows = corpus(60, says, {"shuffled": says, "random": never}, places=3, share=0.4)
    detection = {"groups": {"words": {"any": ["speaks of sabotage"]}}, "exclude": ["sabotage in jest"]}
    return AuditConfig.model_validate(
        {
            "source": {"tables": write_tables(tmp_path / "tables", rows)},
            "output": str(tmp_path / "report"),
            "packs": [str(write_pack(tmp_path / "pack.yaml", "sabotage", detection=detection))],
        }
    )
