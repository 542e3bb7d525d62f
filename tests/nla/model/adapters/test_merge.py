"""Adapters are merged as peft means them, whatever they train and whichever class they were trained in."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from nla_ray.config.models.reference import ModelRef
from nla_ray.errors import CheckpointError
from nla_ray.nla.model.adapters.expressions import Expressions
from nla_ray.nla.model.backbone import adapters_of, load_backbone, load_causal_lm
from nla_ray.nla.model.resolve import resolve
from tests.nla.model.adapters.trained import merged_by_peft, outcome, trained
from tests.tiny import tiny_checkpoint

Checkpoint = Callable[[str], Path]
CPU: dict[str, Any] = {"dtype": torch.float32, "device": "cpu"}
CLOSE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5}

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "rank-stabilised": {"use_rslora": True, "r": 16, "lora_alpha": 16},
    "all modules": {"target_modules": "all-linear"},
    "by expression": {"target_modules": r".*layers\.[13]\.(self_attn\.[qv]_proj|mlp\.up_proj)"},
    "some blocks": {"layers_to_transform": [0, 2], "layers_pattern": "layers"},
    "patterns": {
        "rank_pattern": {"down_proj": 2, r"layers\.1\.self_attn\.q_proj": 6},
        "alpha_pattern": {r"^model.layers.0.self_attn.q_proj": 32},
    },
    "DoRA": {"use_dora": True},
    "DoRA, rank-stabilised": {"use_dora": True, "use_rslora": True},
    "saved modules": {"modules_to_save": ["lm_head", "input_layernorm"]},
    "embedding saved": {"modules_to_save": ["embed_tokens"]},
    "embedding": {"target_modules": ["embed_tokens", "q_proj"]},
    "head": {"target_modules": ["lm_head", "q_proj"]},
    "biases of LoRA": {"bias": "lora_only"},
    "all biases": {"bias": "all"},
    "B with bias": {"lora_bias": True, "target_modules": ["q_proj", "k_proj"]},
}


def view_of(adapter: Path, base: object) -> Path:
    return resolve(ModelRef.parse(f"{adapter} on {base}"))


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_merged_is_what_peft_computes(
    checkpoint: Checkpoint, tmp_path: Path, options: dict[str, Any]
) -> None:
    base = checkpoint("qwen2")
    wanted = trained(base, tmp_path / "adapter", **options)()
    view = view_of(tmp_path / "adapter", base)
    found = outcome(load_causal_lm(view, **CPU))
    torch.testing.assert_close(found, wanted, **CLOSE)
    assert not torch.allclose(found, outcome(load_causal_lm(base, **CPU)), atol=1e-2)


@pytest.mark.parametrize("name", ["plain", "saved modules", "embedding saved", "embedding", "head"])
def test_a_head_that_is_tied_to_the_embedding(tmp_path: Path, name: str) -> None:
    """Training changed one of the two; merged into what both share it would change the other too."""
    base = tiny_checkpoint("qwen2", tmp_path / "base", config={"tie_word_embeddings": True})
    wanted = trained(base, tmp_path / "adapter", **OPTIONS[name])()
    found = outcome(load_causal_lm(view_of(tmp_path / "adapter", base), **CPU))
    torch.testing.assert_close(found, wanted, **CLOSE)


@pytest.mark.parametrize("family", ["llama", "gemma2", "gemma3", "mistral"])
def test_every_family(checkpoint: Checkpoint, tmp_path: Path, family: str) -> None:
    base = checkpoint(family)
    wanted = trained(base, tmp_path / "adapter", target_modules="all-linear")()
    found = outcome(load_causal_lm(view_of(tmp_path / "adapter", base), **CPU))
    torch.testing.assert_close(found, wanted, **CLOSE)


@pytest.mark.parametrize("targets", [["q_proj", "down_proj"], r".*language_model\.layers\.\d+\.mlp\.up_proj"])
def test_trained_in_the_wrapper_and_read_as_text(
    checkpoint: Checkpoint, tmp_path: Path, targets: object
) -> None:
    """Towers beside the text have LoRA too where names are all that is told; they are left out."""
    base = checkpoint("gemma3_mm")
    wrapper = "AutoModelForImageTextToText"
    wanted = trained(base, tmp_path / "adapter", factory=wrapper, target_modules=targets)()
    found = outcome(load_causal_lm(view_of(tmp_path / "adapter", base), **CPU))
    torch.testing.assert_close(found, wanted, **CLOSE)


def test_trained_over_the_bare_stack(checkpoint: Checkpoint, tmp_path: Path) -> None:
    base = checkpoint("qwen2")
    wanted = trained(base, tmp_path / "adapter", factory="AutoModel")()
    view = view_of(tmp_path / "adapter", base)
    found = outcome(load_backbone(view, layers=None, final_norm=True, **CPU))
    torch.testing.assert_close(found, wanted, **CLOSE)


def test_of_a_cut_model_only_its_blocks(checkpoint: Checkpoint, tmp_path: Path) -> None:
    base = checkpoint("qwen2")
    trained(base, tmp_path / "adapter", modules_to_save=["lm_head", "norm"], target_modules="all-linear")
    model = merged_by_peft(base, tmp_path / "adapter")
    cut = load_backbone(view_of(tmp_path / "adapter", base), layers=2, final_norm=False, **CPU)
    found: list[torch.Tensor] = []
    handle = model.model.layers[1].register_forward_hook(lambda _m, _i, output: found.append(output))
    outcome(model)
    handle.remove()
    torch.testing.assert_close(outcome(cut), found[0], **CLOSE)


def test_an_adapter_over_an_adapter(checkpoint: Checkpoint, tmp_path: Path) -> None:
    base, first, second = checkpoint("qwen2"), tmp_path / "sft", tmp_path / "rl"
    trained(base, first, seed=1, use_dora=True)
    wanted = trained(merged_by_peft(base, first), second, seed=2, use_dora=True)()
    found = outcome(load_causal_lm(view_of(second, f"{first} on {base}"), **CPU))
    torch.testing.assert_close(found, wanted, **CLOSE)


def test_sums_are_in_float32_and_weights_keep_their_type(checkpoint: Checkpoint, tmp_path: Path) -> None:
    base = checkpoint("qwen2")
    trained(base, tmp_path / "adapter", target_modules="all-linear")
    view = view_of(tmp_path / "adapter", base)
    half = load_causal_lm(view, dtype=torch.bfloat16, device="cpu").state_dict()
    plain = load_causal_lm(base, dtype=torch.bfloat16, device="cpu").state_dict()
    whole = load_causal_lm(view, **CPU).state_dict()
    float_base = load_causal_lm(base, **CPU).state_dict()
    for name, weight in half.items():
        wanted = plain[name].float() + (whole[name] - float_base[name])
        assert weight.dtype == torch.bfloat16
        torch.testing.assert_close(weight, wanted.bfloat16(), rtol=1e-2, atol=1e-6)


SLOW = r"(?:\w|\.|[a-z_])*[^\w.]"
"""Python's own engine would try every way to read a name."""

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "prompt tuning": (
        {"peft_type": "PROMPT_TUNING"},
        "found 'PROMPT_TUNING'; only LORA is merged",
    ),
    "IA3": ({"peft_type": "IA3"}, "only LORA is merged"),
    "PiSSA": ({"init_lora_weights": "pissa_niter_4"}, "trained over a changed base"),
    "tokens": ({"trainable_token_indices": [1, 2]}, "trainable_token_indices: .* not merged here"),
    "experts": ({"target_parameters": ["mlp.experts.gate_up_proj"]}, "target_parameters: .* not merged here"),
    "what is not known": ({"quantum_lora": {"n": 3}}, "quantum_lora: .* not merged here"),
    "another rank": ({"r": 5}, "has rank 4, its configuration says 5"),
    "no rank": ({"r": "4"}, "r: found '4'; a whole number above 0 was expected"),
    "a module more": (
        {"target_modules": ["q_proj", "down_proj", "k_proj"]},
        "k_proj and its file holds",
    ),
    "a saved module more": ({"modules_to_save": ["lm_head"]}, "lm_head.weight and its file holds"),
    "DoRA without magnitudes": ({"use_dora": True}, "the file has no lora_magnitude_vector"),
    "no expression": ({"target_modules": "("}, "adapter_config.json: "),
    "an expression without end": ({"target_modules": SLOW}, "LoRA of .*, which its configuration does not"),
    "no name": ({"modules_to_save": ["(a+)+$"]}, "modules_to_save: .* a list of module names"),
    "biases": ({"bias": "lora_only"}, r"q_proj\.bias and its file holds"),
    "all its biases": ({"bias": "all"}, r"k_proj\.bias and its file holds"),
    "other modules": ({"target_modules": "nothing"}, "LoRA of .*, which its configuration does not name"),
    "a number beyond all": ({"lora_alpha": 10**400}, "lora_alpha: .* a number was expected"),
}


@pytest.mark.parametrize(("said", "message"), REFUSED.values(), ids=REFUSED)
def test_what_would_be_another_model_is_refused(
    checkpoint: Checkpoint, tmp_path: Path, said: dict[str, Any], message: str
) -> None:
    base, adapter = checkpoint("qwen2"), tmp_path / "adapter"
    trained(base, adapter)
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(config | said))
    with pytest.raises(CheckpointError, match=message) as error:
        load_causal_lm(view_of(adapter, base), **CPU)
    assert "\n" not in str(error.value)


def test_no_key_matches(checkpoint: Checkpoint, tmp_path: Path) -> None:
    base, adapter = checkpoint("qwen2"), tmp_path / "adapter"
    trained(base, adapter)
    _rename(adapter, lambda key: key.replace(".layers.", ".stages."))
    with pytest.raises(CheckpointError, match=r"none of the adapter's 16 keys has a place in Qwen2"):
        load_causal_lm(view_of(adapter, base), **CPU)


def test_experts_one_by_one_are_named(checkpoint: Checkpoint, tmp_path: Path) -> None:
    base, adapter = checkpoint("qwen2"), tmp_path / "adapter"
    trained(base, adapter)
    _rename(adapter, lambda key: key.replace(".mlp.down_proj", ".mlp.experts.3.down_proj"))
    with pytest.raises(CheckpointError, match=r"8 of the adapter's 16 keys .* trains experts one by one"):
        load_causal_lm(view_of(adapter, base), **CPU)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": 48}, r"lora_B.weight has shape \[48, 4\] .* has 32 outputs; .* another model"),
        ({"num_hidden_layers": 6}, r"layers\.4\..* has none: it was trained over another model"),
    ],
)
def test_the_wrong_base_is_refused_before_weights_are_read(
    checkpoint: Checkpoint, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    adapter = tmp_path / "adapter"
    trained(tiny_checkpoint("qwen2", tmp_path / "own", config=change), adapter)
    base = tmp_path / "base"
    base.mkdir()
    for file in checkpoint("qwen2").iterdir():
        (base / file.name).write_bytes(file.read_bytes())
    header = (base / "model.safetensors").read_bytes()
    (base / "model.safetensors").write_bytes(header[:-4] + b"\xff" * 4)
    with pytest.raises(CheckpointError, match=message):
        load_causal_lm(view_of(adapter, base), **CPU)


def test_beside_the_text_only_towers_are_left_out(checkpoint: Checkpoint, tmp_path: Path) -> None:
    base, adapter = checkpoint("gemma3_mm"), tmp_path / "adapter"
    trained(base, adapter, factory="AutoModelForImageTextToText")
    _rename(adapter, lambda key: key.replace(".vision_tower.", ".somewhere_else."))
    with pytest.raises(CheckpointError, match=r"somewhere_else\..* has none"):
        load_causal_lm(view_of(adapter, base), **CPU)


def test_an_expression_has_so_much_time() -> None:
    name = "base_model.model.layers.10.self_attn.q_proj"
    assert Expressions().matching(r".*\.layers\.(?!2)\d+\..*_proj", [name]) == {name}
    with pytest.raises(ValueError, match="takes too long to match"):
        Expressions(0.1).matching(r"(.+)(.+)(.+)(.+)(.+)(.+)\1\2\3\4\5\6", [name])


def test_over_weights_that_stay_packed(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before they are read, and where an adapter is put beside others over a base that is held."""
    adapter, plain, base = tmp_path / "adapter", checkpoint("qwen2"), tmp_path / "base"
    trained(plain, adapter)
    shutil.copytree(plain, base)
    said = json.loads((base / "config.json").read_text()) | {"quantization_config": {"quant_method": "awq"}}
    (base / "config.json").write_text(json.dumps(said))
    monkeypatch.setattr("nla_ray.nla.model.files.quantised.find_spec", lambda _: True)
    with pytest.raises(CheckpointError, match=r"stay quantised \(awq\) on cpu"):
        load_causal_lm(view_of(adapter, base), **CPU)
    model: Any = load_causal_lm(plain, **CPU)
    packed = model.model.layers[2].mlp.down_proj.weight
    packed.data = packed.data.to(torch.float8_e4m3fn)
    with pytest.raises(CheckpointError, match=r"layers\.2\.mlp\.down_proj of its base stays quantised"):
        list(adapters_of(view_of(adapter, plain), model))


def test_damaged_values_are_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    base, adapter = checkpoint("qwen2"), tmp_path / "adapter"
    trained(base, adapter)
    file = adapter / "adapter_model.safetensors"
    state = load_file(file)
    next(iter(state.values()))[0, 0] = float("nan")
    save_file(state, file)
    with pytest.raises(CheckpointError, match="hold NaN"):
        load_causal_lm(view_of(adapter, base), **CPU)


def test_two_keys_of_one_place_and_numbers_without_end_are_refused(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    base, adapter = checkpoint("qwen2"), tmp_path / "adapter"
    trained(base, adapter, target_modules=["q_proj"])
    file = adapter / "adapter_model.safetensors"
    state = load_file(file)
    twice = {
        key.replace("model.model.", "model.model.language_model."): one.clone() for key, one in state.items()
    }
    save_file(state | twice, file)
    with pytest.raises(CheckpointError, match="both belong to model"):
        load_causal_lm(view_of(adapter, base), dtype=torch.float32, device="cpu")
    save_file({key.replace("layers.0.", f"layers.{'9' * 5000}."): one for key, one in state.items()}, file)
    with pytest.raises(CheckpointError, match="trained over another model"):
        load_causal_lm(view_of(adapter, base), dtype=torch.float32, device="cpu")


def test_what_does_not_fit_into_the_type_of_the_weights(checkpoint: Checkpoint, tmp_path: Path) -> None:
    base, adapter = checkpoint("qwen2"), tmp_path / "adapter"
    trained(base, adapter, target_modules=["q_proj"], lora_alpha=1e9)
    with pytest.raises(CheckpointError, match="merged weights do not fit into"):
        load_causal_lm(view_of(adapter, base), dtype=torch.float16, device="cpu")


def _rename(adapter: Path, change: Callable[[str], str]) -> None:
    file = adapter / "adapter_model.safetensors"
    save_file({change(key): tensor for key, tensor in load_file(file).items()}, file)
