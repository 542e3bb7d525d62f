"""Which files a checkpoint made of an adapter and its base has: those of the adapter, else of the base."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from nla_ray.errors import CheckpointError
from nla_ray.nla.sidecar.dialects.seen import (
    ADAPTER_CONFIG,
    HEAD_NAME,
    PICKLED_HEADS,
    SIDECAR_NAME,
    VOCABULARIES,
)

CONFIG_NAME, WEIGHTS_NAME = ADAPTER_CONFIG, "adapter_model.safetensors"
PREFIX = "base_model.model."
"""What peft puts before the name of each tensor."""

_PICKLE = "adapter_model.bin"
_MODEL_CONFIG = "config.json"
_WHOLE = ("model.safetensors", "model.safetensors.index.json")

_TOKENIZER = (
    *(*VOCABULARIES, "merges.txt"),
    *("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
)
_TEMPLATES = ("chat_template.jinja", "chat_template.json")
_SUFFIXES = (".json", ".yaml", ".txt", ".model", ".jinja", ".safetensors")

Files = dict[str, Path]
"""By name the file that it is."""


def is_adapter(directory: Path) -> bool:
    """Whether a directory is an adapter; with a whole model beside it, it may be merged into that already."""
    if not (directory / CONFIG_NAME).exists() or any((directory / name).exists() for name in _WHOLE):
        return False
    return (directory / WEIGHTS_NAME).exists() or not (directory / _MODEL_CONFIG).exists()


def require_weights(adapter: Path) -> None:
    """Raise CheckpointError for an adapter whose tensors are a pickle, or not there."""
    if (adapter / WEIGHTS_NAME).is_file():
        return
    if (adapter / _PICKLE).exists():
        raise CheckpointError(
            f"{adapter}: its weights are a pickle ({_PICKLE}), which can run code when loaded; save it again "
            "with a current peft, which writes safetensors"
        )
    raise CheckpointError(
        f"{adapter}: an adapter without {WEIGHTS_NAME}; download it again, or save it again"
    )


def sidecar_of(adapter: Path) -> Path | None:
    """The adapter's own sidecar, or that of its training, which stands one level up."""
    places = (adapter / SIDECAR_NAME, adapter.parent / SIDECAR_NAME)
    return next((file for file in places if file.is_file()), None)


def contents_of(adapter: Path, base: Path) -> Files:
    """The files of an adapter over a base; the tokenizer is one set, of the adapter or of the base.

    A reconstructor's configuration is its own, else the base's: it is cut when it is loaded, for of some
    families a configuration of fewer blocks describes other weights. Raises CheckpointError for a directory
    that is no adapter.
    """
    if not (adapter / CONFIG_NAME).is_file():
        raise CheckpointError(
            f"{adapter}: no {CONFIG_NAME}: ADAPTER on BASE names an adapter in the form of peft, and then "
            "the model that it was trained over"
        )
    require_weights(adapter)
    own, below = _files(adapter), _files(base)
    found: Files = {
        name: file for name, file in below.items() if name == "generation_config.json" or file.suffix == ".py"
    }
    apart = {_MODEL_CONFIG, *_WHOLE, *_TOKENIZER, *_TEMPLATES}
    found |= {name: file for name, file in own.items() if file.suffix in _SUFFIXES and name not in apart}
    found |= {name: own[name] for name in PICKLED_HEADS if name in own}
    found |= _tokenizer(own, below)
    if (sidecar := sidecar_of(adapter) or below.get(SIDECAR_NAME)) is not None:
        found[SIDECAR_NAME] = sidecar
    if _MODEL_CONFIG in below:
        found[_MODEL_CONFIG] = below[_MODEL_CONFIG]
    if HEAD_NAME in own:
        found |= {name: own[name] for name in (_MODEL_CONFIG,) if name in own}
    return found


def _files(directory: Path) -> dict[str, Path]:
    return {file.name: file for file in directory.iterdir() if file.is_file()}


def _tokenizer(own: Mapping[str, Path], below: Mapping[str, Path]) -> dict[str, Path]:
    """The adapter's tokenizer, else the base's; the base's chat template where the adapter has none."""
    has_own = any(name in own for name in VOCABULARIES)
    files = own if has_own else below
    found = {name: files[name] for name in _TOKENIZER if name in files}
    if any(name in own for name in _TEMPLATES):
        return found | {name: own[name] for name in _TEMPLATES if name in own}
    if has_own and _says_template(own.get("tokenizer_config.json")):
        return found
    return found | {name: below[name] for name in _TEMPLATES if name in below}


def _says_template(file: Path | None) -> bool:
    """Whether a tokenizer's configuration holds a chat template, which a file beside it would win over."""
    try:
        return file is not None and "chat_template" in json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, RecursionError):
        return False
