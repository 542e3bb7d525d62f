"""The loader: only what is needed is read, every dialect loads, what does not fit is refused in one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from nla_ray.errors import CheckpointError
from nla_ray.nla.model.backbone import TESTED, load_backbone, load_causal_lm, load_config
from nla_ray.nla.model.blocks.cut import cut_config
from tests.reference import full_model
from tests.tiny import BLOCKS, D_MODEL, FAMILIES

Checkpoint = Callable[[str], Path]
IDS = torch.tensor([[7, 100, 42, 300, 8, 9, 10, 11, 12, 13, 14, 15]])
CPU = {"dtype": torch.float32, "device": "cpu"}


def _copy(checkpoint: Checkpoint, family: str, to: Path) -> Path:
    return Path(shutil.copytree(checkpoint(family), to / family))


def _change_weights(directory: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    weights = load_file(directory / "model.safetensors")
    change(weights)
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})


def _change_config(directory: Path, **fields: object) -> None:
    file = directory / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


@pytest.mark.parametrize("family", FAMILIES)
def test_causal_lm_gives_the_logits_of_the_full_model(family: str, checkpoint: Checkpoint) -> None:
    model = load_causal_lm(checkpoint(family), **CPU)
    torch.testing.assert_close(
        model(input_ids=IDS).logits,
        full_model(checkpoint(family))(input_ids=IDS).logits,
        rtol=1e-4,
        atol=1e-4,
    )
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_the_whole_stack_with_its_norm(family: str, checkpoint: Checkpoint) -> None:
    stack = load_backbone(checkpoint(family), layers=None, final_norm=True, **CPU)
    expected = full_model(checkpoint(family)).get_decoder()(input_ids=IDS).last_hidden_state
    torch.testing.assert_close(stack(input_ids=IDS).last_hidden_state, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_blocks_above_are_not_needed(family: str, checkpoint: Checkpoint, tmp_path: Path) -> None:
    directory = _copy(checkpoint, family, tmp_path)
    names = ("layers.2.", "layers.3.", "lm_head", "vision_tower", "multi_modal_projector")

    def cut(weights: dict[str, torch.Tensor]) -> None:
        for name in [name for name in weights if any(part in name for part in names)]:
            del weights[name]

    _change_weights(directory, cut)
    stack = load_backbone(directory, layers=2, final_norm=False, **CPU)
    expected = full_model(checkpoint(family))(input_ids=IDS, output_hidden_states=True).hidden_states[2]
    assert len(stack.layers) == 2
    torch.testing.assert_close(stack(input_ids=IDS).last_hidden_state, expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(CheckpointError, match=r"tensors are missing, the first is layers\.2\."):
        load_backbone(directory, layers=3, final_norm=False, **CPU)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_reconstructor_directory_has_an_identity_for_its_norm(
    family: str, nla: Callable[[str], tuple[Path, Path, Path]]
) -> None:
    ar = nla(family)[2]
    stack = load_backbone(ar, layers=None, final_norm=False, **CPU)
    assert isinstance(stack.norm, torch.nn.Identity)
    with pytest.raises(CheckpointError, match=r"missing, the first is norm\.weight"):
        load_backbone(ar, layers=None, final_norm=True, **CPU)


def test_the_megatron_variant_loads(nla: Callable[[str], tuple[Path, Path, Path]], tmp_path: Path) -> None:
    """Its lm_head is [d, d], which a plain load refuses."""
    ar = Path(shutil.copytree(nla("qwen2")[2], tmp_path / "ar"))
    plain = load_backbone(ar, layers=None, final_norm=False, **CPU)(input_ids=IDS).last_hidden_state
    _change_weights(ar, lambda weights: weights.update({"lm_head.weight": torch.eye(D_MODEL)}))
    found = load_backbone(ar, layers=None, final_norm=False, **CPU)(input_ids=IDS).last_hidden_state
    torch.testing.assert_close(found, plain, rtol=0, atol=0)


@pytest.mark.parametrize("family", ["qwen2", "gemma3"])
def test_a_stack_saved_without_its_causal_lm_loads(
    family: str, nla: Callable[[str], tuple[Path, Path, Path]], tmp_path: Path
) -> None:
    """Its tensors are called `layers.0...` instead of `model.layers.0...`."""
    ar = Path(shutil.copytree(nla(family)[2], tmp_path / "ar"))
    plain = load_backbone(ar, layers=None, final_norm=False, **CPU)(input_ids=IDS).last_hidden_state
    names = list(load_file(ar / "model.safetensors"))

    def rename(weights: dict[str, torch.Tensor]) -> None:
        for name in names:
            weights[name.removeprefix("model.")] = weights.pop(name)

    _change_weights(ar, rename)
    found = load_backbone(ar, layers=None, final_norm=False, **CPU)(input_ids=IDS).last_hidden_state
    torch.testing.assert_close(found, plain, rtol=0, atol=0)


def test_both_layouts_of_the_multimodal_wrapper_load(checkpoint: Checkpoint, tmp_path: Path) -> None:
    directory = _copy(checkpoint, "gemma3_mm", tmp_path)
    names = list(load_file(directory / "model.safetensors"))
    assert any(name.startswith("language_model.model.") for name in names)

    def rename(weights: dict[str, torch.Tensor]) -> None:
        for name in names:
            weights[name.replace("language_model.model.", "model.language_model.")] = weights.pop(name)

    _change_weights(directory, rename)
    for directory_ in (directory, checkpoint("gemma3_mm")):
        stack = load_backbone(directory_, layers=None, final_norm=True, **CPU)
        expected = full_model(checkpoint("gemma3_mm")).get_decoder()(input_ids=IDS).last_hidden_state
        torch.testing.assert_close(stack(input_ids=IDS).last_hidden_state, expected, rtol=1e-4, atol=1e-4)
        load_causal_lm(directory_, **CPU)


def test_shards_load(checkpoint: Checkpoint, tmp_path: Path) -> None:
    full_model(checkpoint("qwen2")).save_pretrained(tmp_path, max_shard_size="40KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 2
    stack = load_backbone(tmp_path, layers=2, final_norm=False, **CPU)
    expected = full_model(checkpoint("qwen2"))(input_ids=IDS, output_hidden_states=True).hidden_states[2]
    torch.testing.assert_close(stack(input_ids=IDS).last_hidden_state, expected, rtol=1e-4, atol=1e-4)


def test_dtype_is_as_asked(checkpoint: Checkpoint) -> None:
    stack = load_backbone(
        checkpoint("llama"), layers=1, final_norm=False, dtype=torch.bfloat16, device="cpu", attention="eager"
    )
    assert {parameter.dtype for parameter in stack.parameters()} == {torch.bfloat16}
    assert stack.config._attn_implementation == "eager"


def test_loading_says_nothing(
    checkpoint: Checkpoint, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    verbosity = transformers.logging.get_verbosity()
    bars = transformers.logging.is_progress_bar_enabled()
    load_backbone(checkpoint("qwen2"), layers=2, final_norm=False, **CPU)
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
    assert transformers.logging.get_verbosity() == verbosity
    assert transformers.logging.is_progress_bar_enabled() == bars


def test_two_threads_may_load_at_once(checkpoint: Checkpoint) -> None:
    directory = checkpoint("gemma3_mm")

    def load(_: int) -> bool:
        model = load_causal_lm(directory, dtype=torch.float32, device="cpu")
        return bool(model.lm_head.weight.equal(model.model.embed_tokens.weight))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(load, range(12)))


def test_per_layer_lists_are_cut_and_the_original_is_not(checkpoint: Checkpoint) -> None:
    config = load_config(checkpoint("gemma3_mm"))
    cut = cut_config(config, 3, "here")
    assert cut.model_type == "gemma3_text"
    assert cut.layer_types == config.layer_types[:3]
    assert (cut.num_hidden_layers, config.num_hidden_layers) == (3, BLOCKS)


@pytest.mark.parametrize("layers", [0, -1, 5])
def test_more_blocks_than_there_are_is_refused(layers: int, checkpoint: Checkpoint) -> None:
    with pytest.raises(CheckpointError, match=rf"{layers} blocks asked for, the model has 4; allowed 1\.\.4"):
        load_backbone(checkpoint("qwen2"), layers=layers, final_norm=False, **CPU)


@pytest.mark.parametrize("name", ["T5Config", "ViTConfig"])
def test_what_is_no_decoder_is_refused_with_the_tested_ones(name: str, tmp_path: Path) -> None:
    getattr(transformers, name)().save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"model_type: found '(t5|vit)'; a decoder-only") as error:
        load_config(tmp_path)
    assert all(one in str(error.value) for one in TESTED)


@pytest.mark.parametrize(
    "text", ["{", '{"model_type": "no_such_model"}', "[]", '{"model_type": "qwen2", "hidden_size": "x"}']
)
def test_an_unusable_config_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config\.json: .*(a decoder-only|JSON|hidden_size)") as error:
        load_config(tmp_path)
    assert "\n" not in str(error.value)


def test_a_missing_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        load_config(tmp_path)


def test_an_adapter_is_refused_whether_or_not_its_base_lies_beside_it(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    for directory in (_copy(checkpoint, "qwen2", tmp_path / "both"), tmp_path):
        (directory / "adapter_config.json").write_text("{}")
        with pytest.raises(CheckpointError, match=r"adapter_config.json: an adapter .* ADAPTER on BASE"):
            load_config(directory)


def test_pickled_weights_are_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    directory = _copy(checkpoint, "qwen2", tmp_path)
    torch.save(load_file(directory / "model.safetensors"), directory / "pytorch_model.bin")
    (directory / "model.safetensors").unlink()
    for load in (load_causal_lm, lambda path, **kw: load_backbone(path, layers=1, final_norm=False, **kw)):
        with pytest.raises(CheckpointError, match="pickles"):
            load(directory, **CPU)


def test_a_tensor_of_another_shape_is_refused_by_name(checkpoint: Checkpoint, tmp_path: Path) -> None:
    directory = _copy(checkpoint, "qwen2", tmp_path)
    _change_config(directory, intermediate_size=64)
    with pytest.raises(
        CheckpointError, match=r"tensor layers\.0\.mlp\.\w+\.weight has shape .*48.* asks for .*64"
    ):
        load_backbone(directory, layers=1, final_norm=False, **CPU)


def test_a_truncated_file_is_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    directory = _copy(checkpoint, "qwen2", tmp_path)
    file = directory / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="not readable as safetensors"):
        load_backbone(directory, layers=1, final_norm=False, **CPU)


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("config.json", {"num_attention_heads": 0}, "ZeroDivisionError"),
        ("config.json", {"hidden_act": "no_such_function"}, "no_such_function"),
        ("generation_config.json", [], "TypeError"),
    ],
)
def test_what_transformers_cannot_build_is_one_line(
    checkpoint: Checkpoint, tmp_path: Path, file: str, text: object, says: str
) -> None:
    directory = _copy(checkpoint, "qwen2", tmp_path)
    path = directory / file
    path.write_text(json.dumps(json.loads(path.read_text()) | text if isinstance(text, dict) else text))
    with pytest.raises(CheckpointError, match=rf"qwen2: cannot be loaded: .*{says}"):
        load_causal_lm(directory, **CPU)


REMOTE = """
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen2Model
class HouseConfig(Qwen2Config):
    model_type = "house"
class HouseModel(Qwen2Model):
    config_class = HouseConfig
class HouseForCausalLM(Qwen2ForCausalLM):
    config_class = HouseConfig
"""


def test_code_from_a_checkpoint_runs_only_by_request(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    directory = _copy(checkpoint, "qwen2", tmp_path)
    (directory / "house.py").write_text(REMOTE)
    classes = {"AutoConfig": "Config", "AutoModel": "Model", "AutoModelForCausalLM": "ForCausalLM"}
    _change_config(
        directory, model_type="house", auto_map={auto: f"house.House{name}" for auto, name in classes.items()}
    )
    with pytest.raises(CheckpointError, match="trust_remote_code"):
        load_config(directory)
    stack = load_backbone(directory, layers=2, final_norm=False, trust_remote_code=True, **CPU)
    expected = full_model(checkpoint("qwen2"))(input_ids=IDS, output_hidden_states=True).hidden_states[2]
    torch.testing.assert_close(stack(input_ids=IDS).last_hidden_state, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.gpu
def test_cuda_bfloat16(checkpoint: Checkpoint) -> None:
    model = load_causal_lm(checkpoint("qwen3"), dtype=torch.bfloat16, device="cuda")
    assert torch.isfinite(model(input_ids=IDS.cuda()).logits).all()
