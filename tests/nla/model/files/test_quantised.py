"""Quantised checkpoints: loaded as what they say, or refused by name before a weight is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from nla_ray.errors import CheckpointError
from nla_ray.nla.model.backbone import alone, load_backbone, load_causal_lm
from nla_ray.nla.model.files.quantised import METHODS, quantisation_of, refuse_quantised
from nla_ray.nla.model.files.weights import SafetensorsDir
from nla_ray.nla.preflight.parts import describe_weights
from tests.tiny import tiny_checkpoint

IDS = torch.arange(3, 27).reshape(2, 12)
_FP4 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6])


def says(directory: Path, said: dict[str, Any], key: str = "quantization_config") -> Path:
    """Let config.json say something of quantised weights."""
    file = directory / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: said}))
    return directory


def fp8(path: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    """A tiny Qwen3 with matrices of 8 bits in blocks of 16 x 16, and the weights that these stand for."""
    tiny_checkpoint("qwen3", path)
    stored: dict[str, torch.Tensor] = {}
    truth: dict[str, torch.Tensor] = {}
    for name, tensor in load_file(path / "model.safetensors").items():
        if "_proj" not in name:
            stored[name] = truth[name] = tensor
            continue
        rows, columns = tensor.shape
        blocks = tensor.reshape(rows // 16, 16, columns // 16, 16)
        scales = blocks.abs().amax((1, 3), keepdim=True) / 448
        packed = (blocks / scales).to(torch.float8_e4m3fn)
        truth[name] = (packed.float() * scales).reshape(rows, columns)
        stored[name] = packed.reshape(rows, columns)
        stored[f"{name}_scale_inv"] = scales.reshape(rows // 16, columns // 16)
    save_file(stored, path / "model.safetensors", metadata={"format": "pt"})
    said = {"quant_method": "fp8", "weight_block_size": [16, 16], "activation_scheme": "dynamic"}
    return says(path, said), truth


def mxfp4(path: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    """A tiny gpt-oss whose experts are 4 bits in blocks of 32, and the weights that these stand for."""
    tiny_checkpoint("gpt_oss", path, config={"hidden_size": 32, "intermediate_size": 64})
    generator = torch.Generator().manual_seed(1)
    stored: dict[str, torch.Tensor] = {}
    truth: dict[str, torch.Tensor] = {}
    for name, tensor in load_file(path / "model.safetensors").items():
        if not name.endswith(("gate_up_proj", "down_proj")):
            stored[name] = truth[name] = tensor
            continue
        experts, columns, rows = tensor.shape
        packed = torch.randint(0, 256, (experts, rows, columns // 32, 16), generator=generator)
        scales = torch.randint(119, 125, (experts, rows, columns // 32), generator=generator)
        values = torch.stack([_FP4[packed & 15], _FP4[packed >> 4]], dim=-1).flatten(-2)
        whole = (values * 2.0 ** (scales - 127)[..., None]).reshape(experts, rows, columns)
        truth[name] = whole.transpose(1, 2).contiguous()
        stored[f"{name}_blocks"], stored[f"{name}_scales"] = packed.byte(), scales.byte()
    save_file(stored, path / "model.safetensors", metadata={"format": "pt"})
    return says(path, {"quant_method": "mxfp4", "modules_to_not_convert": ["model.embed_tokens"]}), truth


@pytest.mark.parametrize("make", [fp8, mxfp4])
def test_without_a_gpu_packed_weights_become_the_numbers_that_they_stand_for(
    tmp_path: Path, make: Callable[[Path], tuple[Path, dict[str, torch.Tensor]]]
) -> None:
    directory, truth = make(tmp_path / "model")
    assert "quantised by" in describe_weights(SafetensorsDir(directory))
    whole = load_causal_lm(directory, dtype=torch.float32, device="cpu")
    loaded = whole.state_dict()
    assert all(torch.equal(loaded[name], tensor.float()) for name, tensor in truth.items())
    cut = load_backbone(directory, layers=3, final_norm=False, dtype=torch.float32, device="cpu")
    states = whole(IDS, output_hidden_states=True).hidden_states
    assert torch.equal(cut(IDS).last_hidden_state, states[3])


@pytest.mark.parametrize("bits", [4, 8])
def test_bitsandbytes_runs_on_a_cpu(tmp_path: Path, bits: int) -> None:
    pytest.importorskip("bitsandbytes")
    from transformers import BitsAndBytesConfig

    plain = tiny_checkpoint("qwen3", tmp_path / "plain", config={"hidden_size": 64, "intermediate_size": 128})
    with alone():
        packed = AutoModelForCausalLM.from_pretrained(
            plain,
            quantization_config=BitsAndBytesConfig(**{f"load_in_{bits}bit": True}),
            device_map={"": "cpu"},
        )
        packed.save_pretrained(tmp_path / "packed")
    found = load_causal_lm(tmp_path / "packed", dtype=torch.float32, device="cpu")(IDS).logits
    exact = load_causal_lm(plain, dtype=torch.float32, device="cpu")(IDS).logits
    assert torch.allclose(found, packed(IDS).logits, atol=1e-5) and not torch.allclose(
        found, exact, atol=1e-2
    )
    cut = load_backbone(tmp_path / "packed", layers=2, final_norm=False, dtype=torch.float32, device="cpu")
    assert torch.isfinite(cut(IDS).last_hidden_state).all()


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.packages])
def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    directory = says(tiny_checkpoint("qwen2", tmp_path / "model"), {"quant_method": name})
    module, pip = METHODS[name].packages[0]
    monkeypatch.setattr(
        "nla_ray.nla.model.files.quantised.find_spec", lambda asked: None if asked == module else True
    )
    with pytest.raises(CheckpointError, match=f"quantised by {name}.*pip install {pip}"):
        load_causal_lm(directory, dtype=torch.float32, device="cpu")
    monkeypatch.setattr("nla_ray.nla.model.files.quantised.find_spec", lambda _: True)
    assert quantisation_of(directory) is not None


@pytest.mark.parametrize(
    ("said", "key", "message"),
    [
        ({"quant_method": "quip"}, "quantization_config", "quant_method: found 'quip'; loaded are"),
        ({"quant_method": ["fp8"]}, "quantization_config", r"quant_method: found \['fp8'\]; loaded are"),
        ({"bits": 4}, "quantization_config", "quant_method: found None; loaded are"),
        ({"quant_method": "compressed-tensors"}, "compression_config", "compressed-tensors"),
    ],
)
def test_a_method_that_is_not_known_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: Any, key: str, message: str
) -> None:
    monkeypatch.setattr("nla_ray.nla.model.files.quantised.find_spec", lambda _: None)
    directory = says(tiny_checkpoint("qwen2", tmp_path / "model"), said, key)
    with pytest.raises(CheckpointError, match=message):
        load_causal_lm(directory, dtype=torch.float32, device="cpu")


def test_what_runs_on_a_gpu_only_is_refused_on_a_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nla_ray.nla.model.files.quantised.find_spec", lambda _: True)
    directory = says(tiny_checkpoint("qwen2", tmp_path / "model"), {"quant_method": "fbgemm_fp8"})
    with pytest.raises(CheckpointError, match="fbgemm_fp8, which runs on a GPU only"):
        load_causal_lm(directory, dtype=torch.float32, device="cpu")


def test_packed_numbers_of_which_nothing_is_said_are_not_taken_for_weights(tmp_path: Path) -> None:
    directory, _ = fp8(tmp_path / "model")
    file = directory / "config.json"
    config = json.loads(file.read_text())
    del config["quantization_config"]
    file.write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"type F8_E4M3, and config\.json has no quantization_"):
        load_causal_lm(directory, dtype=torch.float32, device="cpu")


def test_training_does_not_start_from_quantised_weights(tmp_path: Path) -> None:
    directory, _ = fp8(tmp_path / "model")
    with pytest.raises(CheckpointError, match="training starts from plain weights"):
        refuse_quantised(directory)
    refuse_quantised(tiny_checkpoint("qwen2", tmp_path / "plain"))
