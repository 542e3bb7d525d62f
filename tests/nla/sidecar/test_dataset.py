"""Sidecars of activation files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from nla_ray.errors import CheckpointError
from nla_ray.nla.sidecar.dataset import read_dataset_sidecar

META: dict[str, Any] = {
    "kind": "nla_dataset",
    "schema_version": 1,
    "stage": "av_sft",
    "row_count": 100,
    "extraction": {
        "base_model": "Qwen/Qwen2.5-7B-Instruct",
        "d_model": 3584,
        "layer_index": 20,
        "norm": "none",
    },
    "corpus": "kept",
}


def write(directory: Path, meta: dict[str, Any]) -> Path:
    (directory / "a.parquet.nla_meta.yaml").write_text(yaml.safe_dump(meta))
    return directory / "a.parquet"


def test_a_published_dataset(tmp_path: Path) -> None:
    found = read_dataset_sidecar(write(tmp_path, META))
    assert (found.stage, found.base_model, found.d_model) == ("av_sft", "Qwen/Qwen2.5-7B-Instruct", 3584)
    assert (found.layer, found.row_count, found.extra["corpus"]) == (20, 100, "kept")


def test_a_stale_row_count_is_a_warning(tmp_path: Path) -> None:
    found = read_dataset_sidecar(write(tmp_path, META))
    assert found.stale_rows(100) is None
    assert "row_count says 100, the file holds 90 rows" in str(found.stale_rows(90))
    assert read_dataset_sidecar(write(tmp_path, META | {"row_count": None})).stale_rows(90) is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"kind": "nla_model"}, "kind: found 'nla_model'"),
        (
            {"extraction": META["extraction"] | {"norm": "whitened_zca_v1"}},
            "extraction.norm: found 'whitened_zca_v1'",
        ),
        ({"extraction": {}}, "extraction.base_model: found nothing"),
        ({"stage": None}, "stage: found None"),
        ({"row_count": "many"}, "row_count: found 'many'"),
    ],
)
def test_refusals(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(CheckpointError, match=says):
        read_dataset_sidecar(write(tmp_path, META | changes))


def test_no_sidecar(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"a\.parquet\.nla_meta\.yaml: no such file"):
        read_dataset_sidecar(tmp_path / "a.parquet")
