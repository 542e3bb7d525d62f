"""What a source says of itself is released as it stands, or in words that transformers 4 and 5 both read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nla_ray.errors import CheckpointError
from nla_ray.nla.model.backbone import load_config
from nla_ray.nla.model.blocks.cut import cut_config, cuts_alike
from nla_ray.nla.prompt import load_tokenizer
from nla_ray.training.saved.source_files import copy_tokenizer, refuse_links_out, write_config
from tests.tiny import FAMILIES, LAYER

Checkpoint = Callable[[str], Path]
OURS = ("architectures", "dtype", "_name_or_path")
LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "high_freq_factor": 4.0,
    "low_freq_factor": 1.0, "original_max_position_embeddings": 64,
}  # fmt: skip
ROPE: dict[str, dict[str, Any]] = {
    "llama": LLAMA3,
    "gemma3": {
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 2e6},
        "sliding_attention": {"rope_type": "default", "rope_theta": 5e3},
    },
}
ROPE["gemma3_mm"] = ROPE["gemma3"]


def edited(source: Path, directory: Path, name: str, **values: Any) -> Path:
    """A copy of the checkpoint's small files, one of them with other values."""
    shutil.copytree(source, directory, ignore=shutil.ignore_patterns("*.safetensors"))
    said = json.loads((directory / name).read_text())
    said.get("text_config", said).update(values)
    (directory / name).write_text(json.dumps(said))
    return directory


@pytest.mark.parametrize("family", FAMILIES)
def test_a_config_reads_as_its_source_and_names_no_word_of_version_5(
    family: str, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    rope = ROPE.get(family, {"rope_type": "default", "rope_theta": 1e6})
    source = edited(checkpoint(family), tmp_path / "source", "config.json", rope_parameters=rope)
    loaded = cut_config(load_config(source), LAYER + 1, source)
    write_config(tmp_path, source, loaded, torch.float16)
    written, read = json.loads((tmp_path / "config.json").read_text()), load_config(tmp_path)
    assert "rope_parameters" not in written
    assert written["rope_theta"] == rope.get("full_attention", rope)["rope_theta"]
    assert (written["rope_scaling"] or {}).get("factor") == rope.get("full_attention", rope).get("factor")
    assert read.dtype == torch.float16
    assert read.architectures[0].endswith("ForCausalLM")
    same = [{k: v for k, v in one.to_dict().items() if k not in OURS} for one in (loaded, read)]
    assert same[0] == same[1]


@pytest.mark.parametrize("family", ["gemma4", "gpt_oss", "nemotron_h", "gpt2"])
def test_a_config_of_a_newer_family_is_read_as_it_was_loaded(
    family: str, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    """These refuse older words of the rotation, or read them as another one."""
    source = checkpoint(family)
    whole = load_config(source)
    cut = cut_config(whole, LAYER + 1, source)
    loaded = cut if cuts_alike(whole, cut) else whole
    write_config(tmp_path, source, loaded, torch.float32)
    read = load_config(tmp_path)
    assert read.num_hidden_layers == loaded.num_hidden_layers
    said = json.loads((tmp_path / "config.json").read_text())
    assert said.get("n_layer", read.num_hidden_layers) == read.num_hidden_layers
    assert getattr(read, "rope_parameters", None) == getattr(loaded, "rope_parameters", None)
    assert cuts_alike(whole, read)


def test_a_config_in_words_of_version_4_keeps_them(checkpoint: Checkpoint, tmp_path: Path) -> None:
    scaling = {name: value for name, value in LLAMA3.items() if name != "rope_theta"}
    rope = {"rope_theta": 5e5, "rope_scaling": scaling}
    source = edited(checkpoint("llama"), tmp_path / "source", "config.json", **rope)
    said = json.loads((source / "config.json").read_text())
    del said["rope_parameters"]
    (source / "config.json").write_text(json.dumps(said | {"_name_or_path": "/home/somebody"}))
    write_config(tmp_path, source, load_config(source), torch.float32)
    written = json.loads((tmp_path / "config.json").read_text())
    assert written == {k: v for k, v in said.items() if k != "dtype"} | {"torch_dtype": "float32"}


def test_a_tokenizer_is_copied_byte_for_byte(checkpoint: Checkpoint, tmp_path: Path) -> None:
    known = {"tokenizer_class": "PreTrainedTokenizerFast"}
    source = edited(checkpoint("qwen2"), tmp_path / "source", "tokenizer_config.json", **known)
    (source / "special_tokens_map.json").write_text('{"eos_token":   "<|im_end|>"}')
    copy_tokenizer(tmp_path, source, load_tokenizer(source))
    named = {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"}
    assert {file.name for file in tmp_path.iterdir() if file.is_file()} == named
    for name in named:
        assert (tmp_path / name).read_bytes() == (source / name).read_bytes()


def test_a_link_out_of_a_checkpoint_is_refused_and_one_to_the_blobs_of_the_hubs_cache_is_not(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    source = edited(checkpoint("qwen2"), tmp_path / "models--a--b/snapshots/c0ffee", "tokenizer_config.json")
    blob = tmp_path / "models--a--b/blobs/0123"
    blob.parent.mkdir()
    (source / "tokenizer.json").rename(blob)
    (source / "tokenizer.json").symlink_to("../../blobs/0123")
    refuse_links_out(source)
    (tmp_path / "private").write_text("key")
    (source / "tokenizer.model").symlink_to(tmp_path / "private")
    with pytest.raises(
        CheckpointError, match=r"tokenizer\.model: a link out of the checkpoint, to .*private"
    ):
        refuse_links_out(source)


def test_what_version_4_fails_on_is_said_in_its_words(checkpoint: Checkpoint, tmp_path: Path) -> None:
    said = {"tokenizer_class": "TokenizersBackend", "extra_special_tokens": ["<|im_start|>"]}
    source = edited(checkpoint("qwen3"), tmp_path / "source", "tokenizer_config.json", **said)
    own = load_tokenizer(source)
    copy_tokenizer(tmp_path, source, own)
    shutil.copy(source / "config.json", tmp_path)
    written, read = json.loads((tmp_path / "tokenizer_config.json").read_text()), load_tokenizer(tmp_path)
    assert written["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert written["additional_special_tokens"] == ["<|im_start|>"]
    assert "extra_special_tokens" not in written
    assert type(read) is type(own)
    assert read.all_special_tokens == own.all_special_tokens
    assert read.encode("It's 2024:\n the model") == own.encode("It's 2024:\n the model")


def test_a_template_from_elsewhere_is_released_too(checkpoint: Checkpoint, tmp_path: Path) -> None:
    target = checkpoint("qwen2")
    source = edited(target, tmp_path / "source", "tokenizer_config.json")
    (source / "chat_template.jinja").unlink()
    copy_tokenizer(tmp_path, source, load_tokenizer(source, template_from=target))
    assert (tmp_path / "chat_template.jinja").read_bytes() == (target / "chat_template.jinja").read_bytes()
