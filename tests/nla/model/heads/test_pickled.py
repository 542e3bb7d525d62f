"""A pickled head becomes safetensors, and a pickle of anything else is not run."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from nla_ray.errors import CheckpointError, InputError
from nla_ray.nla.model.heads.head import open_value_head
from nla_ray.nla.model.heads.pickled import convert

HEAD = {"weight": torch.eye(4), "bias": torch.ones(4)}


class Trap:
    """Would leave a file if it was unpickled as a pickle is."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return Path.touch, (self.place,)


def test_a_head_with_bias(tmp_path: Path) -> None:
    torch.save(HEAD, tmp_path / "linear_head.pt")
    assert convert(tmp_path / "linear_head.pt", tmp_path) == tmp_path / "value_head.safetensors"
    weight, bias = open_value_head(tmp_path, 4, 0).tensors()
    assert torch.equal(weight, HEAD["weight"]) and bias is not None and torch.equal(bias, HEAD["bias"])
    with pytest.raises(CheckpointError, match="is there already"):
        convert(tmp_path / "linear_head.pt", tmp_path)


def test_heads_of_several_blocks(tmp_path: Path) -> None:
    torch.save({"4": torch.eye(4), "10": 2 * torch.eye(4)}, tmp_path / "heads.pt")
    found = load_file(convert(tmp_path / "heads.pt", tmp_path))
    assert set(found) == {"value_head.4.weight", "value_head.10.weight"}


def test_heads_that_share_memory_are_written_and_a_missing_folder_is_told(tmp_path: Path) -> None:
    both = torch.stack([torch.eye(4), 2 * torch.eye(4)])
    torch.save({"4": both[0], "10": both[1]}, tmp_path / "heads.pt")
    found = load_file(convert(tmp_path / "heads.pt", tmp_path))
    assert torch.equal(found["value_head.10.weight"], both[1])
    with pytest.raises(InputError, match=r"cannot be written.* is its folder there"):
        convert(tmp_path / "heads.pt", tmp_path / "nowhere")


def test_a_file_too_large_for_heads_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "linear_head.pt").open("wb") as file:
        file.truncate(17 << 30)
    with pytest.raises(CheckpointError, match=r"holds 18,253,611,008 bytes, and heads have at most 17,179,"):
        convert(tmp_path / "linear_head.pt", tmp_path)
    monkeypatch.setattr("nla_ray.nla.model.heads.pickled._MOST_BYTES", 1 << 16)
    with zipfile.ZipFile(tmp_path / "packed.pt", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("data.pkl", bytes(1 << 20))
    with pytest.raises(CheckpointError, match="holds 1,048,576 bytes"):
        convert(tmp_path / "packed.pt", tmp_path)


def test_code_in_a_pickle_is_not_run(tmp_path: Path) -> None:
    torch.save({"weight": torch.eye(4), "trap": Trap(tmp_path / "run")}, tmp_path / "linear_head.pt")
    with pytest.raises(CheckpointError, match="holds more than tensors"):
        convert(tmp_path / "linear_head.pt", tmp_path)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"kernel": torch.eye(4)}, "holds kernel"),
        ({"weight": torch.ones(4, 3)}, "weight has shape"),
        ({"weight": torch.full((4, 4), float("nan"))}, "NaN"),
        ({"weight": torch.eye(4), "bias": torch.ones(3)}, "different widths"),
        ([torch.eye(4)], "tensors by name"),
        ({"1.weight": torch.eye(4), "01.weight": torch.eye(4)}, "two heads of one block"),
        ({"weight": torch.ones(0, 0)}, "weight has shape"),
    ],
)
def test_what_is_no_head_is_refused(tmp_path: Path, content: Any, says: str) -> None:
    torch.save(content, tmp_path / "linear_head.pt")
    with pytest.raises(CheckpointError, match=says):
        convert(tmp_path / "linear_head.pt", tmp_path)
    assert not (tmp_path / "value_head.safetensors").exists()
