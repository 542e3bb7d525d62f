"""Lazy safetensors: headers without data, refusals by name, finite checks in slices."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from nla_ray.errors import CheckpointError
from nla_ray.nla.model.files import weights as weights_module
from nla_ray.nla.model.files.weights import SafetensorsDir


def save_shards(directory: Path) -> None:
    save_file({"a": torch.ones(2, 3)}, directory / "m-1.safetensors")
    save_file({"b": torch.ones(4, dtype=torch.bfloat16)}, directory / "m-2.safetensors")
    index = {"weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors"}}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))


def test_one_file(tmp_path: Path) -> None:
    tensor = torch.randn(5, 3)
    save_file({"x": tensor}, tmp_path / "model.safetensors")
    found = SafetensorsDir(tmp_path)
    assert found.names == ("x",)
    assert (found.info("x").shape, found.info("x").dtype) == ((5, 3), "F32")
    assert torch.equal(found.tensor("x"), tensor)


def test_shards(tmp_path: Path) -> None:
    save_shards(tmp_path)
    found = SafetensorsDir(tmp_path)
    assert found.names == ("a", "b")
    assert (found.info("b").dtype, found.info("b").file.name) == ("BF16", "m-2.safetensors")
    assert found.tensor("a").shape == (2, 3)


def test_a_missing_shard(tmp_path: Path) -> None:
    save_shards(tmp_path)
    (tmp_path / "m-2.safetensors").unlink()
    with pytest.raises(
        CheckpointError, match=r"m-2\.safetensors: no such file; the download is not complete"
    ):
        SafetensorsDir(tmp_path)
    found = SafetensorsDir(tmp_path, partial=True)
    assert found.names == ("a", "b")
    assert set(found.headers) == {"a"}
    with pytest.raises(CheckpointError, match="no tensor 'b'"):
        found.tensor("b")


def test_a_shard_without_its_tensor(tmp_path: Path) -> None:
    save_shards(tmp_path)
    save_file({"c": torch.ones(1)}, tmp_path / "m-2.safetensors")
    with pytest.raises(CheckpointError, match=r"m-2\.safetensors: 'b' is not in it"):
        SafetensorsDir(tmp_path)


@pytest.mark.parametrize(
    "text",
    ["{", "{}", "[]", '{"weight_map": []}', '{"weight_map": {"a": 1}}', '{"weight_map": {"a": "../m"}}'],
)
def test_an_index_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(CheckpointError, match="not a safetensors index"):
        SafetensorsDir(tmp_path)


def test_a_damaged_file(tmp_path: Path) -> None:
    save_file({"x": torch.ones(64)}, tmp_path / "model.safetensors")
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[:-100])
    with pytest.raises(CheckpointError, match="not readable as safetensors"):
        SafetensorsDir(tmp_path)


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("pytorch_model.bin", "its weights are pickles"),
        ("model.pt", "its weights are pickles"),
        ("adapter_config.json", "this is an adapter .LoRA.: name it with its base"),
        ("config.json", "only safetensors weights are read"),
    ],
)
def test_no_safetensors(tmp_path: Path, file: str, says: str) -> None:
    (tmp_path / file).touch()
    with pytest.raises(CheckpointError, match=f"no model.safetensors; {says}"):
        SafetensorsDir(tmp_path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 3e38])
def test_not_finite(
    tmp_path: Path, dtype: torch.dtype, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights_module, "_SLICE_BYTES", 8 * 6 * 3)
    head = torch.eye(6, dtype=dtype)
    head[1::2, 2] = value
    save_file({"weight": head, "bias": torch.zeros(6)}, tmp_path / "value_head.safetensors")
    found = SafetensorsDir(tmp_path, file="value_head.safetensors")
    found.check_finite("bias")
    with pytest.raises(CheckpointError, match=r"value_head\.safetensors: weight: 3 of 6 rows hold NaN, Inf"):
        found.check_finite("weight")


def test_a_bias_and_a_single_number_are_checked_too(tmp_path: Path) -> None:
    tensors = {
        "bias": torch.tensor([1.0, float("nan")]),
        "one": torch.tensor(float("inf")),
        "none": torch.empty(0, 3),
    }
    save_file(tensors, tmp_path / "model.safetensors")
    found = SafetensorsDir(tmp_path)
    found.check_finite("none")
    for name, says in (("bias", "1 of 2 rows"), ("one", "1 of 1 rows")):
        with pytest.raises(CheckpointError, match=f"{name}: {says}"):
            found.check_finite(name)
