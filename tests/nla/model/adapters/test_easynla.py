"""A reconstructor of EasyNLA in the form of peft: made again when what it was made from changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from nla_ray.errors import CheckpointError
from nla_ray.nla.model.adapters.easynla import as_adapter


def saved(directory: Path) -> Path:
    directory.mkdir()
    module = "backbone.model.layers.0.self_attn.q_proj"
    tensors = {f"{module}.lora_{side}.default.weight": torch.ones(2, 2) for side in "AB"}
    save_file(tensors | {"value_head.weight": torch.ones(2, 2)}, directory / "ar_lora_value_head.safetensors")
    meta = {"ar_num_layers": 1, "lora_r": 2, "lora_alpha": 4}
    (directory / "ar_meta.json").write_text(json.dumps(meta))
    return directory


def test_a_file_that_comes_later_is_in_it(tmp_path: Path) -> None:
    source = saved(tmp_path / "ar")
    first = as_adapter(source)
    (tmp_path / "nla_meta.yaml").write_text("kind: nla_dataset")
    (source / "tokenizer.json").write_text("{}")
    second = as_adapter(source)
    assert second != first and as_adapter(source) == second
    assert (second / "nla_meta.yaml").samefile(tmp_path / "nla_meta.yaml")
    assert (second / "tokenizer.json").samefile(source / "tokenizer.json")


@pytest.mark.parametrize("alpha", [True, float("inf"), 10**400])
def test_its_alpha_is_a_number(tmp_path: Path, alpha: float) -> None:
    file = saved(tmp_path / "ar") / "ar_meta.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"lora_alpha": alpha}))
    with pytest.raises(CheckpointError, match="lora_alpha are positive numbers"):
        as_adapter(tmp_path / "ar")


def test_what_is_half_deleted_is_made_again(tmp_path: Path) -> None:
    made = as_adapter(saved(tmp_path / "ar"))
    (made / "adapter_config.json").unlink()
    assert (as_adapter(tmp_path / "ar") / "adapter_config.json").exists()
