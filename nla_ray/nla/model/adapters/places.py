"""Where each key of an adapter's file belongs in a loaded model, whose class and depth may be another."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from nla_ray.errors import CheckpointError
from nla_ray.nla.model.adapters.contents import PREFIX
from nla_ray.nla.model.adapters.files import AdapterFiles
from nla_ray.nla.model.blocks.stack import BESIDE, BLOCK, TEXT_PART

INTO = ("lora_A.weight", "lora_embedding_A")
"""The parts of LoRA that have a module's inputs as columns and the rank as rows."""

_PARTS = re.compile(
    r"\.(lora_A\.weight|lora_B\.(?:weight|bias)|lora_embedding_[AB]|lora_magnitude_vector(?:\.weight)?)$"
)
_EXPERT = re.compile(r"\.experts\.\d+\.")


@dataclass
class Places:
    """Keys of the file by where they belong: (module, part) of LoRA, a parameter's name for whole tensors.

    `modules` gives each module of the model its name in the file, which the configuration's patterns mean.
    """

    lora: dict[str, tuple[str, str]] = field(default_factory=dict)
    full: dict[str, str] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)


def places_of(files: AdapterFiles, model: nn.Module, blocks: int) -> Places:
    """The place of every key, in a model with all or the first of the base's `blocks`.

    Keys of blocks that were cut off, of a head or norm that the stack lacks and of towers beside the text
    part have none. Raises CheckpointError for any other key without a place, for two keys of one place, for a
    shape that is not the module's, and where the adapter changes nothing of the model.
    """
    found, unplaced, above = Places(), [], False
    taken: dict[tuple[str, str], str] = {}
    modules, parameters = dict(model.named_modules()), dict(model.named_parameters(remove_duplicate=False))
    depth = 1 + max((_block_of(name) for name in parameters), default=-1)
    for key in files.tensors.names:
        saved, part = split_key(key)
        name = _here(saved, model, modules if part else parameters)
        if name is None:
            above |= (cut_off := depth <= _block_of(saved) < blocks)
            if not (cut_off or _left_out(saved, model, modules)):
                unplaced.append(key)
        elif (name, part) in taken:
            raise CheckpointError(
                f"{files.directory}: {key} and {taken[name, part]} both belong to {name}; which one was "
                "trained cannot be told: save the adapter again"
            )
        elif part:
            found.lora[key], found.modules[name] = (name, part), saved
        else:
            found.full[key] = name
        if name is not None:
            taken[name, part] = key
    if unplaced or not (found.modules or found.full or above):
        raise _unplaced(files, model, unplaced or list(files.tensors.names), found)
    _check_shapes(files, found, modules, parameters)
    return found


def split_key(key: str) -> tuple[str, str]:
    """A key as the name of its module and the part of LoRA; of a whole tensor its name and nothing."""
    name = key.removeprefix(PREFIX)
    match = _PARTS.search(name)
    if match is None:
        return name.replace(".modules_to_save.", ".").replace(".base_layer.", "."), ""
    return name[: match.start()].removesuffix(".base_layer"), match.group(1)


def _here(saved: str, model: nn.Module, names: Mapping[str, Any]) -> str | None:
    """The name that something saved has in this model: it may be the wrapper, the text model, the stack."""
    text = f"{saved}."
    for pattern, replacement in TEXT_PART.items():
        text = re.sub(pattern, replacement, text)
    text = text[:-1].removeprefix("language_model.")
    prefix = f"{getattr(model, 'base_model_prefix', '') or 'model'}."
    tried = (saved, text, text.removeprefix(prefix), text.removeprefix("model."), f"{prefix}{text}")
    return next((name for name in tried if name in names), None)


def _block_of(name: str) -> int:
    """The block that a name speaks of; -1 for none."""
    match = BLOCK.search(name)
    return int(match.group(1)) if match else -1


def _left_out(saved: str, model: nn.Module, modules: Mapping[str, nn.Module]) -> bool:
    """Whether it belongs to a piece that is not loaded: a tower, the head, the norm after the last block."""
    module = saved.removesuffix(".weight").removesuffix(".bias")
    if module.rpartition(".")[2] == "lm_head":
        return "lm_head" not in modules
    if BESIDE.search(saved):
        return True
    return isinstance(modules.get(_here(module, model, modules) or ""), nn.Identity)


def _unplaced(files: AdapterFiles, model: nn.Module, unplaced: list[str], found: Places) -> CheckpointError:
    total = len(files.tensors.names)
    if not total:
        return CheckpointError(f"{files.directory}: its file holds no tensor; save the adapter again")
    placed = len(found.lora) + len(found.full)
    hint = (
        "it trains experts one by one, which this model packs into one tensor: merge it where it was trained"
        if _EXPERT.search(unplaced[0])
        else "it was trained over another model: name that one, ADAPTER on BASE"
    )
    return CheckpointError(
        f"{files.directory}: {placed or 'none'} of the adapter's {total} keys "
        f"{'have' if placed else 'has'} a place in {type(model).__name__}; {unplaced[0]} has none: {hint}"
    )


def _check_shapes(
    files: AdapterFiles,
    found: Places,
    modules: Mapping[str, nn.Module],
    parameters: Mapping[str, nn.Parameter],
) -> None:
    for key, (name, part) in found.lora.items():
        shape, wanted, at = files.tensors.info(key).shape, _width(modules[name], part), int(part in INTO)
        if wanted is not None and (len(shape) <= at or shape[at] != wanted):
            raise _other_base(files, key, shape, f"{name} has {wanted} {'inputs' if at else 'outputs'}")
    for key, name in found.full.items():
        shape, has = files.tensors.info(key).shape, tuple(parameters[name].shape)
        if shape != has:
            raise _other_base(files, key, shape, f"{name} has {list(has)}")


def _width(module: nn.Module, part: str) -> int | None:
    """Inputs of a module for LoRA's A side, outputs for B; None for what peft compares."""
    if part.startswith("lora_magnitude_vector"):
        return None
    for names in (("in_features", "out_features"), ("num_embeddings", "embedding_dim"), ("nx", "nf")):
        if all(hasattr(module, name) for name in names):
            return int(getattr(module, names[0 if part in INTO else 1]))
    return None


def _other_base(files: AdapterFiles, key: str, shape: tuple[int, ...], has: str) -> CheckpointError:
    return CheckpointError(
        f"{files.directory}: {key} has shape {list(shape)} and the base's {has}; it was trained over another "
        "model, or one with tokens added: name that one, ADAPTER on BASE"
    )
