"""An adapter's configuration in the names that the modules of a loaded model have, for peft to apply."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from peft import LoraConfig
from peft.tuners.tuners_utils import check_target_module_exists
from peft.utils.other import get_pattern_key
from torch import nn
from transformers.pytorch_utils import Conv1D

from nla_ray.errors import CheckpointError
from nla_ray.nla.model.adapters.files import AdapterFiles
from nla_ray.nla.model.adapters.places import INTO, Places

_KEPT = ("fan_in_fan_out", "lora_bias", "use_dora", "use_rslora")
_SELECTING = ("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "modules_to_save")
_TARGETED = (nn.Linear, nn.Embedding, Conv1D)


def peft_config(files: AdapterFiles, places: Places) -> LoraConfig:
    """The same adapter with each module named, at the rank and alpha that it has there.

    Raises CheckpointError where a rank is not the file's: the whole adapter would be scaled wrongly.
    """
    said = files.config
    ranks = _of_modules(said, "rank_pattern", places, said["r"])
    alphas = _of_modules(said, "alpha_pattern", places, said["lora_alpha"])
    for key, (module, part) in places.lora.items():
        rank = files.tensors.info(key).shape[0]
        if part in INTO and rank != ranks[module]:
            raise CheckpointError(
                f"{files.directory}: {key} has rank {rank}, its configuration says {ranks[module]}; the "
                "configuration belongs to another adapter"
            )
    (rank, rank_pattern), (alpha, alpha_pattern) = _with_exceptions(ranks), _with_exceptions(alphas)
    return LoraConfig(
        r=rank,
        lora_alpha=alpha,
        rank_pattern=rank_pattern,
        alpha_pattern=alpha_pattern,
        target_modules=sorted(places.modules),
        init_lora_weights=False,
        inference_mode=True,
        **{name: said[name] for name in _KEPT if said.get(name)},
    )


def require_all(files: AdapterFiles, places: Places, model: nn.Module) -> None:
    """Raise CheckpointError for what the configuration names in this model and the file does not hold."""
    said: dict[str, Any] = {name: files.config.get(name) for name in _SELECTING}
    selecting, (here, saved) = LoraConfig(**said), _prefixes(places)
    whole = tuple(f".{name}" for name in said["modules_to_save"] or [])
    for name, module in model.named_modules():
        if f".{name}".endswith(whole):
            parts = {f"{name}.{part}" for part, _ in module.named_parameters()}
            lacks = not parts <= set(places.full.values())
        else:
            lacks = (
                said["target_modules"] is not None
                and isinstance(module, _TARGETED)
                and name not in places.modules
                and name.startswith(here)
                and _is_true(check_target_module_exists(selecting, saved + name.removeprefix(here)))
            )
        if lacks:
            raise CheckpointError(
                f"{files.directory}: its configuration names {name} and its file holds nothing for it; the "
                "file is not complete, or the configuration belongs to another adapter"
            )


def _of_modules(said: Mapping[str, Any], field: str, places: Places, default: Any) -> dict[str, Any]:
    patterns = said.get(field) or {}
    names = list(patterns)
    return {
        module: patterns.get(get_pattern_key(names, saved), default)
        for module, saved in places.modules.items()
    }


def _with_exceptions(values: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The most frequent value, and a pattern for each module that has another: peft tries every pattern."""
    ((common, _),) = Counter(values.values()).most_common(1)
    return common, {re.escape(name): value for name, value in values.items() if value != common}


def _prefixes(places: Places) -> tuple[str, str]:
    """What the blocks' modules are called here and in the file, up to where the names are the same."""
    for here, saved in places.modules.items():
        same = 0
        for one, other in zip(reversed(here.split(".")), reversed(saved.split(".")), strict=False):
            if one != other:
                break
            same += 1
        return (
            "".join(f"{part}." for part in here.split(".")[:-same]),
            "".join(f"{part}." for part in saved.split(".")[:-same]),
        )
    return "", ""


def _is_true(found: object) -> bool:
    """peft answers with an object that stands for an excluded module, too."""
    return bool(found) and type(found).__name__ != "_ExcludedModule"
