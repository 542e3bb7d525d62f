"""Where each key of an adapter's file belongs in a loaded model, whose class and depth may be another."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from nla_ray.errors import CheckpointError
from nla_ray.nla.model.adapters.files import AdapterFiles

_PARTS = re.compile(
    r"\.(lora_A\.weight|lora_B\.(?:weight|bias)|lora_embedding_[AB]|lora_magnitude_vector(?:\.weight)?)$"
)
_BLOCK = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.")
_EXPERT = re.compile(r"\.experts\.\d+\.")
# A multimodal wrapper's text part, in its old and its new layout.
_TEXT_PART = (
    (r"^language_model\.(model|lm_head)(?=\.|$)", r"\1"),
    (r"^(?:model\.)?language_model\.", "model."),
)


@dataclass
class Places:
    """Keys of the file by where they belong: (module, part) of LoRA, a parameter's name for whole tensors.

    `modules` gives each module of the model its name in the file, which the configuration's patterns mean.
    """

    lora: dict[str, tuple[str, str]] = field(default_factory=dict)
    full: dict[str, str] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)


def places_of(files: AdapterFiles, model: nn.Module, blocks: int) -> Places:
    """The place of every key; of blocks above the model's, of its missing head or norm and of towers none.

    Raises CheckpointError for any other key without a place, for shapes that differ, where none has a place.
    """
    found = Places()
    modules, parameters = dict(model.named_modules()), dict(model.named_parameters(remove_duplicate=False))
    wrapped = any("language_model." in key for key in files.tensors.names)
    unplaced, above = [], False
    for key in files.tensors.names:
        saved, part = split_key(key)
        name = _here(saved, model, modules if part else parameters)
        if name is None:
            if _is_above(saved, model, blocks):
                above = True
            elif not _left_out(saved, part, model, wrapped):
                unplaced.append(key)
        elif part:
            found.lora[key] = (name, part)
            found.modules[name] = saved
        else:
            found.full[key] = name
    if unplaced or not (found.modules or found.full or above):
        raise _unplaced(files, model, unplaced or list(files.tensors.names), found)
    _check_shapes(files, found, modules, parameters)
    return found


def split_key(key: str) -> tuple[str, str]:
    """A key as the name of its module and the part of LoRA; of a whole tensor its name and nothing."""
    name = key.removeprefix("base_model.model.")
    match = _PARTS.search(name)
    if match is None:
        return name.replace(".modules_to_save.", ".").replace(".base_layer.", "."), ""
    return name[: match.start()].removesuffix(".base_layer"), match.group(1)


def _here(saved: str, model: nn.Module, names: Mapping[str, Any]) -> str | None:
    """The name that something saved has in this model: it may be the wrapper, the text model, the stack."""
    text = saved
    for pattern, replacement in _TEXT_PART:
        text = re.sub(pattern, replacement, text)
    prefix = f"{getattr(model, 'base_model_prefix', '') or 'model'}."
    tried = (saved, text, text.removeprefix(prefix), text.removeprefix("model."), f"{prefix}{text}")
    return next((name for name in tried if name in names), None)


def _is_above(saved: str, model: nn.Module, blocks: int) -> bool:
    """Whether it belongs to a block of the base that was cut off."""
    block = _BLOCK.search(saved)
    cut = int(getattr(model.config, "num_hidden_layers", blocks))
    return block is not None and cut <= int(block.group(1)) < blocks


def _left_out(saved: str, part: str, model: nn.Module, wrapped: bool) -> bool:
    """Whether it belongs to a piece that is never loaded: a tower, the stack's missing head or norm."""
    if wrapped and "language_model." not in saved and not saved.startswith("lm_head"):
        return True
    module = saved.removesuffix(".weight").removesuffix(".bias").rpartition(".")[2]
    if module == "lm_head":
        return getattr(model, "lm_head", None) is None
    stripped = isinstance(getattr(model, "norm", None), nn.Identity)
    return not part and module == "norm" and stripped and _BLOCK.search(saved) is None


def _unplaced(files: AdapterFiles, model: nn.Module, unplaced: list[str], found: Places) -> CheckpointError:
    names = files.tensors.names
    if not names:
        return CheckpointError(f"{files.directory}: its file holds no tensor; save the adapter again")
    placed = len(found.lora) + len(found.full)
    hint = (
        "it trains experts one by one, which this model packs into one tensor: merge it where it was trained"
        if _EXPERT.search(unplaced[0])
        else "it was trained over another model: name that one, ADAPTER on BASE"
    )
    return CheckpointError(
        f"{files.directory}: {placed or 'none'} of the adapter's {len(names)} keys "
        f"{'have' if placed else 'has'} a place in {type(model).__name__}; {unplaced[0]} has none: {hint}"
    )


def _check_shapes(
    files: AdapterFiles,
    found: Places,
    modules: Mapping[str, nn.Module],
    parameters: Mapping[str, nn.Parameter],
) -> None:
    for key, (name, part) in found.lora.items():
        shape = files.tensors.info(key).shape
        wanted = _width(modules[name], part)
        at = 1 if part in ("lora_A.weight", "lora_embedding_A") else 0
        if wanted is not None and (len(shape) <= at or shape[at] != wanted):
            raise _other_base(files, key, shape, f"{name} has {wanted} {'inputs' if at else 'outputs'}")
    for key, name in found.full.items():
        shape, has = files.tensors.info(key).shape, tuple(parameters[name].shape)
        if shape != has:
            raise _other_base(files, key, shape, f"{name} has {list(has)}")


def _width(module: nn.Module, part: str) -> int | None:
    """Inputs of a module for LoRA's A side, outputs for all else; None for a kind that peft knows best."""
    into = part in ("lora_A.weight", "lora_embedding_A")
    for names in (("in_features", "out_features"), ("num_embeddings", "embedding_dim"), ("nx", "nf")):
        if all(hasattr(module, name) for name in names):
            return int(getattr(module, names[0 if into else 1]))
    return None


def _other_base(files: AdapterFiles, key: str, shape: tuple[int, ...], has: str) -> CheckpointError:
    return CheckpointError(
        f"{files.directory}: {key} has shape {list(shape)} and the base's {has}; it was trained over another "
        "model (or one with tokens added): name that one, ADAPTER on BASE"
    )
