"""The report that a training ends with: the pair on held-out vectors, wherever its output is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from nla_ray.config.training.train import TrainConfig
from nla_ray.pipelines.train.run import train
from nla_ray.store.places.tree import Tree
from nla_ray.training.loop.metrics import Progress
from tests.train_tables import ROWS, train_values, write_set

NlaDirs = tuple[Path, Path, Path]


@pytest.fixture
def values(tmp_path: Path, nla: Callable[[str], NlaDirs], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A training of a tiny target with a report."""
    monkeypatch.setenv("NLA_RAY_CACHE", str(tmp_path / "cache"))
    found = train_values(tmp_path, nla("qwen2")[0], write_set(tmp_path / "set"))
    return found | {"report": {"vectors": 8, "samples": 2}}


def test_it_is_written_once(values: dict[str, Any]) -> None:
    told: list[Progress] = []
    found = train(TrainConfig.model_validate(values), told.append)
    assert {"report"} < {one.stage for one in told}
    page, data = (
        Path(values["output"], "report/evaluation.html"),
        Path(values["output"], "report/evaluation.json"),
    )
    said = json.loads(data.read_text())
    assert found.report == str(page) and found.verdict == said["verdict"] == "insufficient evidence"
    assert said["provenance"]["vectors"] == 8 and said["provenance"]["samples"] == 2
    assert [said["provenance"][role]["ref"] for role in ("av", "ar")] == [found.av, found.ar]
    assert {one["control"] for one in said["measured"]} == {"real", "shuffled", "random", "mean", "none"}
    written = page.stat().st_mtime_ns
    again = train(TrainConfig.model_validate(values), lambda _: None)
    assert again.again and again.verdict == found.verdict and page.stat().st_mtime_ns == written
    assert again.idle
    page.unlink()
    once_more = train(TrainConfig.model_validate(values), lambda _: None)
    assert once_more.again and not once_more.idle and page.exists()


def test_positions_and_documents_of_the_published_schema_are_used(values: dict[str, Any]) -> None:
    (path,) = Path(values["data"]["path"], "held_out").glob("*.parquet")
    table = pq.read_table(path)
    tokens = [8 + 4 * row for row in range(ROWS["held_out"])]
    truth = ['{"kind": "b"}'] * ROWS["held_out"]
    pq.write_table(table.append_column("n_raw_tokens", [tokens]).append_column("meta", [truth]), path)
    train(TrainConfig.model_validate(values), lambda _: None)
    said = json.loads(Path(values["output"], "report/evaluation.json").read_text())
    assert (said["provenance"]["documents"], said["provenance"]["vectors"]) == (4, 8)
    assert [one["by"] for one in said["buckets"]] == ["position", "norm"]


def test_it_is_beside_a_pair_on_s3(values: dict[str, Any], s3: str) -> None:
    found = train(TrainConfig.model_validate(values | {"output": f"{s3}/pair"}), lambda _: None)
    tree = Tree(f"{s3}/pair")
    assert found.report == f"{tree.url}/report/evaluation.html"
    assert (tree.read("report/evaluation.html") or b"").startswith(b"<!DOCTYPE html>")


def test_a_reconstructor_alone_has_none(values: dict[str, Any]) -> None:
    only = {"sft_ar": values["stages"]["sft_ar"]}
    found = train(TrainConfig.model_validate(values | {"stages": only}), lambda _: None)
    assert found.report is None and not Path(values["output"], "report").exists()
