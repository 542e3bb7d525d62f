"""An adapter's configuration in the names that the modules of a loaded model have, for peft to apply."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from peft import LoraConfig
from peft.tuners.tuners_utils import check_target_module_exists
from torch import nn
from transformers.pytorch_utils import Conv1D

from nla_ray.errors import CheckpointError
from nla_ray.nla.model.adapters.expressions import Expressions
from nla_ray.nla.model.adapters.files import SWITCHES, AdapterFiles
from nla_ray.nla.model.adapters.places import INTO, Places

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
        **{name: said[name] for name in SWITCHES if said.get(name)},
    )


def require_all(files: AdapterFiles, places: Places, model: nn.Module) -> None:
    """Raise CheckpointError where configuration and file do not name the same modules of this model.

    Raises ValueError and TypeError for a configuration that contradicts itself.
    """
    said: dict[str, Any] = {name: files.config.get(name) for name in _SELECTING}
    here, saved = _prefixes(places)
    targets = {
        name: saved + name.removeprefix(here)
        for name, module in model.named_modules()
        if isinstance(module, _TARGETED) and name.startswith(here)
    } | places.modules
    chosen = _chosen(said, targets)
    whole = tuple(f".{name}" for name in said["modules_to_save"] or [])
    wanted = {
        f"{name}.{part}"
        for name, module in model.named_modules()
        if f".{name}".endswith(whole)
        for part, _ in module.named_parameters()
    }
    below = [name for name, _ in model.named_parameters() if name.startswith(here)]
    wanted |= _biases(files.config.get("bias"), places, below)
    lacks = sorted({*(chosen - places.modules.keys()), *(wanted - set(places.full.values()))})
    if lacks:
        raise CheckpointError(
            f"{files.directory}: its configuration names {lacks[0]} and its file holds nothing for it; the "
            "file is not complete, or the configuration belongs to another adapter"
        )
    if unnamed := sorted(places.modules.keys() - chosen):
        raise CheckpointError(
            f"{files.directory}: its file holds LoRA of {unnamed[0]}, which its configuration does not name; "
            "the configuration belongs to another adapter"
        )


def _chosen(said: Mapping[str, Any], targets: Mapping[str, str]) -> set[str]:
    """The modules, by their names here, that a configuration chooses by those in the file."""
    selecting = LoraConfig(**said)
    if selecting.target_modules is None:
        return set()
    expressions = Expressions()
    for name in ("target_modules", "exclude_modules"):
        if isinstance(expression := getattr(selecting, name), str):
            setattr(selecting, name, expressions.matching(expression, targets.values()))
    return {name for name, saved in targets.items() if _is_true(check_target_module_exists(selecting, saved))}


def _biases(kind: str | None, places: Places, parameters: Sequence[str]) -> set[str]:
    """The biases that were trained: none, those of the adapter's modules, or all."""
    if kind == "all":
        return {name for name in parameters if name.rpartition(".")[2] == "bias"}
    return {f"{name}.bias" for name in places.modules if kind == "lora_only"} & set(parameters)


def _of_modules(said: Mapping[str, Any], field: str, places: Places, default: Any) -> dict[str, Any]:
    """The value of each module: that of the first pattern that fits the end of its name, else the default."""
    expressions, found = Expressions(), dict.fromkeys(places.modules.values(), default)
    for pattern, value in reversed((said.get(field) or {}).items()):
        found |= dict.fromkeys(expressions.matching(rf"(?:.*\.)?(?:{pattern})", found), value)
    return {module: found[saved] for module, saved in places.modules.items()}


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
