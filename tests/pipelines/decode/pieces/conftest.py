"""A corpus of several files that is planned, never decoded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nla_ray.config.decode import DecodeConfig
from nla_ray.config.runner import Runner
from nla_ray.pipelines.decode.pieces.cache import Cache
from nla_ray.pipelines.decode.planning import Decode, plan_decode
from nla_ray.pipelines.decode.survey import Reads
from nla_ray.runtime.workers import Workers
from nla_ray.store import open_store
from tests.cli.conftest import TEXT
from tests.conftest import NlaDirs

FILES, ROWS = 5, 9

Make = Callable[..., DecodeConfig]


def row(file: int, at: int) -> dict[str, Any]:
    """Some ids are in every file, one is the place of a document whose id is used again; some are empty."""
    name = f"doc{file}.{at}" if at % 4 else f"doc{at}"
    name = "2.jsonl:5" if (file, at) == (4, 6) else name
    return {"id": name, "text": "" if at == 7 else f"{file} {at} {TEXT}" * (1 + (file + at) % 3)}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Its folder: four files of JSON, one of them without a row, and one of Parquet."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for file in range(FILES):
        rows = [row(file, at) for at in range(ROWS)]
        if file == 3:
            pq.write_table(pa.Table.from_pylist(rows), folder / "3.parquet", row_group_size=4)
        else:
            (folder / f"{file}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    (folder / "1.jsonl").write_text("")
    return folder


@pytest.fixture
def make(tmp_path: Path, corpus: Path, nla: Callable[[str], NlaDirs]) -> Make:
    """`make(corpus={"limit": 7}, seed=1)`: a decode of that corpus into tables that are not there yet."""
    models = dict(zip(("target", "av", "ar"), map(str, nla("qwen2")), strict=True))

    def config(**changes: Any) -> DecodeConfig:
        read = {"paths": [str(corpus)], "text": "text", "id": "id", "unit_documents": 4}
        values = {
            "output": str(tmp_path / "out"),
            "models": models | changes.pop("models", {}),
            "corpus": read | changes.pop("corpus", {}),
            "positions": {"n": 2},
            "controls": {"shuffled": 0.5, "random": 0.5},
            "sampling": {"samples": 2},
        }
        return DecodeConfig.model_validate(values | changes)

    return config


def planned(config: DecodeConfig, runner: Runner | None = None) -> Decode:
    """The plan; what was read is kept beside the tables."""
    store = open_store(config.output)
    with Workers(runner or Runner()) as workers, Cache(store, at_once=True) as cache:
        return plan_decode(config, Reads(workers, cache, lambda doing, documents: None))
