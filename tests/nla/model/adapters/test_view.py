"""A reference to an adapter leads to one directory with the files of both, and never past what was said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from nla_ray.config.models.reference import ModelRef
from nla_ray.errors import CheckpointError, Exit, NoCheckpointError
from nla_ray.nla.model.adapters.view import bottom_of, layers_of, views_on
from nla_ray.nla.model.backbone import load_causal_lm, load_config
from nla_ray.nla.model.resolve import resolve
from nla_ray.nla.prompt import load_tokenizer
from nla_ray.nla.reconstruction.reconstructor import Reconstructor
from tests.conftest import NlaDirs
from tests.nla.model.adapters.trained import trained
from tests.tiny import LAYER, MARKER, tiny_tokenizer

Checkpoint = Callable[[str], Path]


def test_what_the_adapter_lacks_is_the_bases(checkpoint: Checkpoint, tmp_path: Path) -> None:
    base, adapter = checkpoint("qwen2"), tmp_path / "adapter"
    trained(base, adapter)
    view = resolve(ModelRef.parse(f"{adapter} on {base}"))
    assert view.name == "adapter"
    assert (view / "config.json").samefile(base / "config.json")
    assert load_tokenizer(view).get_vocab() == load_tokenizer(base).get_vocab()
    assert load_tokenizer(view).chat_template == load_tokenizer(base).chat_template
    assert (view / "generation_config.json").samefile(base / "generation_config.json")
    assert resolve(ModelRef.parse(f"{adapter} on {base}")) == view


def test_the_adapters_tokenizer_is_one_set(checkpoint: Checkpoint, tmp_path: Path) -> None:
    base, adapter = checkpoint("qwen2"), tmp_path / "adapter"
    trained(base, adapter)
    tokenizer = tiny_tokenizer("qwen2", marker=False)
    tokenizer.chat_template = "{{ messages[0]['content'] }}"
    tokenizer.save_pretrained(adapter)
    view = resolve(ModelRef.parse(f"{adapter} on {base}"))
    assert len(load_tokenizer(view).encode(MARKER)) > 1
    assert load_tokenizer(view).chat_template == tokenizer.chat_template


def test_a_sidecar_one_level_up_is_the_adapters(checkpoint: Checkpoint, tmp_path: Path) -> None:
    base, adapter = checkpoint("qwen2"), tmp_path / "run" / "iter_000100"
    trained(base, adapter)
    (tmp_path / "run" / "nla_meta.yaml").write_text("kind: nla_dataset\n")
    view = resolve(ModelRef.parse(f"{adapter} on {base}"))
    assert (view / "nla_meta.yaml").samefile(tmp_path / "run" / "nla_meta.yaml")


def test_a_view_is_made_again_where_it_was_spoilt(checkpoint: Checkpoint, tmp_path: Path) -> None:
    base, adapter = checkpoint("qwen2"), tmp_path / "adapter"
    trained(base, adapter)
    ref = ModelRef.parse(f"{adapter} on {base}")
    (resolve(ref) / "config.json").unlink()
    assert (resolve(ref) / "config.json").exists()


def test_views_upon_views(checkpoint: Checkpoint, tmp_path: Path) -> None:
    base, first, second = checkpoint("qwen2"), tmp_path / "sft", tmp_path / "rl"
    trained(base, first)
    trained(base, second)
    view = resolve(ModelRef.parse(f"{second} on {first} on {base}"))
    assert [one.name for one in views_on(view)] == ["sft", "rl"]
    assert bottom_of(view) == base
    assert layers_of(base) is None


def test_links_of_a_checkpoint_itself_are_not_followed(checkpoint: Checkpoint, tmp_path: Path) -> None:
    base, adapter = checkpoint("qwen2"), tmp_path / "adapter"
    trained(base, adapter)
    (adapter / "base").symlink_to(base)
    (adapter / "adapter").symlink_to(adapter)
    assert layers_of(adapter) is None


def test_a_reconstructor_is_cut_when_it_is_loaded(nla: Callable[[str], NlaDirs], tmp_path: Path) -> None:
    """An AR as an adapter: head, sidecar and LoRA over the target, of which blocks 0..K are read."""
    target, _, ar = nla("gemma3_mm")
    adapter = tmp_path / "ar"
    trained(target, adapter, target_modules=r".*layers\.[012]\.mlp\.up_proj")
    for name in ("nla_meta.yaml", "value_head.safetensors"):
        (adapter / name).write_bytes((ar / name).read_bytes())
    view = resolve(ModelRef.parse(f"{adapter} on {target}"))
    assert load_config(view).num_hidden_layers > LAYER + 1
    stack: Any = Reconstructor(view)._model
    assert len(stack.layers) == LAYER + 1


def test_a_reconstructors_head_is_its_own_and_no_message_names_the_cache(
    nla: Callable[[str], NlaDirs], tmp_path: Path, cache: Path
) -> None:
    """An adapter over an AR: whether the head below it went on training, no file tells."""
    ar = nla("qwen2")[2]
    trained(ar, tmp_path / "rl", factory="AutoModel")
    view = resolve(ModelRef.parse(f"{tmp_path / 'rl'} on {ar}"))
    with pytest.raises(CheckpointError, match=r"without a value head; its base has one .*copy it") as error:
        Reconstructor(view)
    assert str(error.value).startswith(f"{tmp_path / 'rl'} on {ar}: ")
    shutil.copy(ar / "value_head.safetensors", tmp_path / "rl")
    view = resolve(ModelRef.parse(f"{tmp_path / 'rl'} on {ar}"))
    assert Reconstructor(view).d_model == 32
    config = tmp_path / "rl" / "adapter_config.json"
    config.write_text(config.read_text().replace('"LORA"', '"IA3"'))
    with pytest.raises(CheckpointError, match=rf"^{config}: peft_type: found 'IA3'"):
        Reconstructor(view)
    above = resolve(ModelRef.parse(f"{tmp_path / 'rl'} on {tmp_path / 'rl'} on {ar}"))
    with pytest.raises(CheckpointError, match="peft_type") as error:
        load_causal_lm(above, dtype=torch.float32, device="cpu")
    assert str(cache) not in str(error.value)


WORDS: dict[str, tuple[dict[str, Any], dict[str, Any] | None, str]] = {
    "nothing": (
        {"base_model_name_or_path": None},
        None,
        "do not name the model",
    ),
    "a path": ({"base_model_name_or_path": "/root/sft"}, None, "over '/root/sft', .* never a path; say"),
    "a path up": (
        {"base_model_name_or_path": "../models"},
        None,
        "over '../models', .* never a path; say",
    ),
    "two": (
        {"base_model_name_or_path": "/root/av_sft_merged"},
        {"extraction": {"base_model": "Qwen/Qwen3-8B"}},
        "sidecar names 'Qwen/Qwen3-8B' and its adapter_config.json '/root/av_sft_merged'",
    ),
}


@pytest.mark.parametrize(("config", "sidecar", "message"), WORDS.values(), ids=WORDS)
def test_without_a_base_it_is_refused_in_one_line(
    tmp_path: Path, config: dict[str, Any], sidecar: dict[str, Any] | None, message: str
) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"} | config))
    if sidecar is not None:
        (tmp_path / "nla_meta.yaml").write_text(yaml.safe_dump(sidecar))
    with pytest.raises(CheckpointError, match=message) as error:
        resolve(ModelRef(path=str(tmp_path)))
    assert error.value.exit_code == Exit.UNUSABLE
    assert "ADAPTER on BASE" in str(error.value)


@pytest.mark.parametrize("over", ["nobody/of-this-name", "/models/of-this-name"])
def test_a_base_on_the_hub_is_asked_for(tmp_path: Path, over: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sidecar's name is believed where the configuration has a path that ends in it."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (tmp_path / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "base_model_name_or_path": over, "revision": "v2"})
    )
    (tmp_path / "nla_meta.yaml").write_text(yaml.safe_dump({"base_model": "nobody/of-this-name"}))
    with pytest.raises(NoCheckpointError, match=r"^nobody/of-this-name.*: not a directory here"):
        resolve(ModelRef(path=str(tmp_path)))


def test_code_is_not_run_of_a_base_that_only_the_files_name(checkpoint: Checkpoint, tmp_path: Path) -> None:
    trained(checkpoint("qwen2"), tmp_path / "adapter")
    ref = ModelRef(path=str(tmp_path / "adapter"), trust_remote_code=True)
    with pytest.raises(CheckpointError, match=r"trust_remote_code: .* name the base yourself: ADAPTER"):
        resolve(ref)


def test_a_base_of_what_is_no_adapter(checkpoint: Checkpoint) -> None:
    base = checkpoint("qwen2")
    with pytest.raises(CheckpointError, match=r"no adapter_config\.json: ADAPTER on BASE names"):
        resolve(ModelRef.parse(f"{base} on {base}"))


def test_a_pickle_is_named(checkpoint: Checkpoint, tmp_path: Path) -> None:
    base = checkpoint("qwen2")
    trained(base, tmp_path / "adapter")
    (tmp_path / "adapter" / "adapter_model.safetensors").rename(tmp_path / "adapter" / "adapter_model.bin")
    with pytest.raises(CheckpointError, match=r"a pickle \(adapter_model\.bin\), which can run code"):
        resolve(ModelRef.parse(f"{tmp_path / 'adapter'} on {base}"))
