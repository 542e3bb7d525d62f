"""The small files of a released model: its source's own, in words that transformers 4 and 5 both read.

The public reference client runs on transformers 4, which takes no notice of version 5's `rope_parameters` and
then turns by its default frequencies, and which knows no tokenizer class `TokenizersBackend`. Version 5 reads
all of version 4's words. What a source says in them is released as it stands.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedConfig, PreTrainedTokenizerBase
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from nla_ray.errors import CheckpointError
from nla_ray.nla.model.adapters.easynla import made_from
from nla_ray.nla.model.adapters.view import layers_of
from nla_ray.nla.model.backbone import load_config

CONFIG, TOKENIZER_CONFIG, TEMPLATE = "config.json", "tokenizer_config.json", "chat_template.jinja"
TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer.model", "vocab.*", "merges.txt", "tekken.json",
    "special_tokens_map.json", "added_tokens.json", "chat_template.*",
)  # fmt: skip

GENERATION = "generation_config.json"

_FULL, _SLIDING = "full_attention", "sliding_attention"


def write_config(directory: Path, source: Path, loaded: PreTrainedConfig, dtype: torch.dtype) -> None:
    """Write the config.json of a model that was `loaded` from `source`: its text part, its blocks, `dtype`.

    `loaded` says how many blocks there are; lists with an entry per block are cut to that. Raises OSError.
    """
    said = _mapping(source / CONFIG)
    said = dict(said.get("text_config", said))
    for name in ("_name_or_path", "dtype", "torch_dtype"):
        said.pop(name, None)
    blocks: int = loaded.num_hidden_layers
    per_block = {k: v[:blocks] for k, v in said.items() if k.startswith("layer") and isinstance(v, list)}
    said |= per_block | {"num_hidden_layers": blocks, "torch_dtype": str(dtype).removeprefix("torch.")}
    if (own := loaded.attribute_map.get("num_hidden_layers")) in said:
        said[own] = blocks
    said["model_type"] = loaded.model_type
    if said.get("tie_word_embeddings", True) and not loaded.tie_word_embeddings:
        # An adapter of the head alone, merged, has untied what its base ties.
        said["tie_word_embeddings"] = False
    if loaded.model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        said["architectures"] = [MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[loaded.model_type]]
    _write(directory / CONFIG, _rope_words(said))
    if "auto_map" not in said and not _turns_alike(directory, loaded):
        _write(directory / CONFIG, said)


def copy_tokenizer(directory: Path, source: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Copy the files of the tokenizer that was loaded from `source`, byte for byte.

    `chat_template.jinja` is added where `tokenizer` was given a template that `source` lacks, and words of
    tokenizer_config.json that transformers 4 fails on are said in its own. Raises OSError.
    """
    for pattern in TOKENIZER_FILES:
        for file in source.glob(pattern):
            copy(directory, file)
    config = source / TOKENIZER_CONFIG
    said = _mapping(config) if config.exists() else {}
    words = _tokenizer_words(said)
    if words != said:
        _write(directory / TOKENIZER_CONFIG, words)
    elif said:
        copy(directory, config)
    own = said.get("chat_template") or (source / TEMPLATE).exists()
    if not own and tokenizer.chat_template is not None:
        (directory / TEMPLATE).write_bytes(tokenizer.get_chat_template().encode())


def copy(directory: Path, file: Path) -> None:
    """Copy one file, or what a link points to, into the directory; raises OSError."""
    (directory / file.name).write_bytes(file.read_bytes())


def refuse_links_out(directory: Path) -> None:
    """Raise CheckpointError where a file that a release copies is a link that leads out of its checkpoint.

    A cloned checkpoint may link to whatever its user can read. Views of this machine and the blobs of the
    hub's cache are no such places.
    """
    layers = layers_of(directory)
    if layers is not None:
        for layer in (layers.adapter, layers.base):
            refuse_links_out(layer)
        return
    directory = made_from(directory).resolve()
    for pattern in (*TOKENIZER_FILES, TOKENIZER_CONFIG, GENERATION):
        for file in directory.glob(pattern):
            found = file.resolve()
            blob = found.parent.name == "blobs" and found.parent.parent.name.startswith("models--")
            if not blob and not found.is_relative_to(directory):
                raise CheckpointError(
                    f"{file}: a link out of the checkpoint, to {found}, which a release would copy; put the "
                    "file itself there, if it belongs to the model"
                )


def _rope_words(said: dict[str, Any]) -> dict[str, Any]:
    """Version 5's `rope_parameters` as version 4's `rope_theta`, `rope_scaling`, `rope_local_base_freq`."""
    found = said.get("rope_parameters")
    if not isinstance(found, dict):
        return said
    whole = dict(found.get(_FULL, found))
    local = dict(found.get(_SLIDING, {"rope_type": "default"}))
    if "rope_theta" not in whole or local.pop("rope_type", "default") != "default":
        return said
    words: dict[str, Any] = {"rope_theta": whole.pop("rope_theta")}
    words["rope_scaling"] = None if whole.get("rope_type", "default") == "default" else whole
    if "rope_theta" in local:
        words["rope_local_base_freq"] = local["rope_theta"]
    return {name: value for name, value in said.items() if name != "rope_parameters"} | words


def _turns_alike(directory: Path, loaded: PreTrainedConfig) -> bool:
    """Whether the config.json there is read as the rotation of `loaded`; new families know no old words."""
    try:
        with warnings.catch_warnings(action="ignore"):
            read = load_config(directory)
    except CheckpointError:
        return False
    return bool(getattr(read, "rope_parameters", None) == getattr(loaded, "rope_parameters", None))


def _tokenizer_words(said: dict[str, Any]) -> dict[str, Any]:
    words = dict(said)
    if said.get("tokenizer_class") == "TokenizersBackend":
        words["tokenizer_class"] = "PreTrainedTokenizerFast"
    if isinstance(said.get("extra_special_tokens"), list):
        words["additional_special_tokens"] = words.pop("extra_special_tokens")
    return words


def _mapping(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text(encoding="utf-8")))


def _write(file: Path, said: dict[str, Any]) -> None:
    file.write_text(json.dumps(said, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
