"""A small decode for every runner."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nla_ray.config.decode import DecodeConfig
from tests.cli.conftest import TEXT
from tests.conftest import NlaDirs

_POOLS = {name: {"cpus": 0.5} for name in ("extract", "verbalize", "reconstruct")}
RUNNERS: dict[str, dict[str, Any]] = {
    "local": {"name": "local"},
    "fused": {"name": "ray"},
    "pools": {"name": "ray", "pools": _POOLS},
}

Make = Callable[..., DecodeConfig]


@pytest.fixture
def make(tmp_path: Path, nla: Callable[[str], NlaDirs]) -> Make:
    """`make("fused", "out", seed=1)`: eight documents in four units, two positions each, every control."""
    corpus = tmp_path / "corpus.jsonl"
    rows = [{"id": f"doc{i}", "text": f"{i} {TEXT}" * (1 + i % 3)} for i in range(8)]
    corpus.write_text("".join(json.dumps(row) + "\n" for row in rows))
    models = dict(zip(("target", "av", "ar"), map(str, nla("qwen2")), strict=True))

    def config(runner: str, output: str = "out", **changes: object) -> DecodeConfig:
        values = {
            "output": str(tmp_path / output),
            "models": models,
            "corpus": {"paths": [str(corpus)], "text": "text", "id": "id", "unit_documents": 2},
            "positions": {"n": 2},
            "controls": {"shuffled": 1, "random": 1, "mean": 1, "none": 1},
            "sampling": {"samples": 2, "max_new_tokens": 6},
            "engine": {"slots": 8, "device": "cpu"},
            "runner": equal_threads(RUNNERS[runner]),
            "prove": False,
        }
        return DecodeConfig.model_validate(values | changes)

    return config


def equal_threads(runner: dict[str, Any]) -> dict[str, Any]:
    """The runner with pools that use as many threads as this process, so that sums are equal."""
    threads = {"threads": torch.get_num_threads()}
    pools = {name: pool | threads for name, pool in runner.get("pools", {}).items()}
    return runner | {"pool": {"cpus": 1.0} | threads} | ({"pools": pools} if pools else {})


@pytest.fixture(params=["local", "fused", "pools"])
def runner(request: pytest.FixtureRequest) -> str:
    """Name of each runner in turn; those on Ray have a cluster."""
    if request.param != "local":
        request.getfixturevalue("ray_cluster")
    return str(request.param)


@pytest.fixture(params=["local", "fused"])
def one_process(request: pytest.FixtureRequest) -> str:
    """Like `runner`, those that keep a unit in one process."""
    if request.param != "local":
        request.getfixturevalue("ray_cluster")
    return str(request.param)
