"""An adapter put onto a loaded model: every key finds its place or is refused, then peft merges."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from peft.utils.other import get_pattern_key
from torch import nn

from nla_ray.errors import CheckpointError
from nla_ray.nla.model.adapters.files import AdapterFiles, open_adapter
from nla_ray.nla.model.adapters.places import Places, places_of

_NAME = "default"


@dataclass(frozen=True)
class Adapter:
    """What an adapter changes in one model: LoRA layers beside its modules, and tensors that replace others.

    The model itself stays as it was until `merge`.
    """

    directory: Path
    lora: Mapping[str, LoraLayer]
    full: Mapping[str, torch.Tensor]

    def merge(self, model: nn.Module) -> None:
        """Change the model's weights for good: sums in float32, kept in the type that each weight has.

        Raises CheckpointError where the outcome is not finite, or an adapter's bias has no bias to go to.
        """
        with torch.no_grad():
            for name in sorted(self.lora):
                self.merge_one(name)
            for name, tensor in self.full.items():
                weight = model.get_parameter(name)
                weight.data = tensor.to(weight.device, weight.dtype)

    def merge_one(self, name: str) -> None:
        """One module's weights, as `merge` does."""
        layer = self.lora[name]
        base: Any = layer.get_base_layer()
        dtype = base.weight.dtype
        own = [one for one in (base.weight, getattr(base, "bias", None)) if one is not None]
        for one in own:
            one.data = one.data.float()
        try:
            layer.merge(safe_merge=True, adapter_names=[_NAME])
        except (ValueError, RuntimeError) as error:
            raise CheckpointError(f"{self.directory}: {name}: cannot be merged: {error}") from error
        finally:
            layer.merged_adapters.clear()
            for one in own:
                one.data = one.data.to(dtype)


def attach(model: nn.Module, directory: Path, *, blocks: int) -> Adapter:
    """The adapter in `directory` for a model with all or the first of the base's `blocks`.

    Raises CheckpointError for a key that has no place in the model, for a shape that is not the module's,
    for a module that the configuration names and the file lacks, and where nothing matches at all.
    """
    files = open_adapter(directory)
    places = places_of(files, model, blocks)
    state = {
        f"{module}.{part}": files.tensors.tensor(key).float() for key, (module, part) in places.lora.items()
    }
    full = {name: files.tensors.tensor(key) for key, name in places.full.items()}
    lora = _layers(model, files, places, state) if state else {}
    _untie(model, files, places)
    return Adapter(directory, lora, full)


def _layers(
    model: nn.Module, files: AdapterFiles, places: Places, state: Mapping[str, torch.Tensor]
) -> dict[str, LoraLayer]:
    config = _peft_config(files, places)
    with warnings.catch_warnings():
        # What peft warns of is checked here.
        warnings.simplefilter("ignore")
        try:
            inject_adapter_in_model(config, model, _NAME, low_cpu_mem_usage=True)
            found: Any = set_peft_model_state_dict(model, dict(state), _NAME, low_cpu_mem_usage=True)
        # peft refuses in many ways, and means the same by all of them.
        except Exception as error:
            problem = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            raise CheckpointError(f"{files.directory}: cannot be applied: {problem}") from error
    layers = {name: module for name, module in model.named_modules() if isinstance(module, LoraLayer)}
    for name, layer in layers.items():
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, layer.get_base_layer())
    del model.peft_config
    empty = [
        f"{name}.{part}"
        for name, layer in layers.items()
        for part, weight in cast(nn.Module, layer).named_parameters()
        if weight.is_meta and not part.startswith("base_layer.")
    ]
    wrong = [*found.unexpected_keys, *sorted(layers.keys() ^ places.modules.keys()), *empty]
    if wrong:
        raise CheckpointError(
            f"{files.directory}: {wrong[0]}: the file lacks a part of it; download or save the adapter again"
        )
    return layers


def _peft_config(files: AdapterFiles, places: Places) -> LoraConfig:
    """The same adapter by the modules' names here, each with the rank and alpha that it has there."""
    said = files.config
    ranks, alphas = {}, {}
    for module, saved in places.modules.items():
        ranks[re.escape(module)] = _pattern(said, "rank_pattern", saved, said.get("r", 8))
        alphas[re.escape(module)] = _pattern(said, "alpha_pattern", saved, said.get("lora_alpha", 8))
    _check_ranks(files, places, ranks)
    kept = ("fan_in_fan_out", "lora_bias", "use_dora", "use_rslora")
    return LoraConfig(
        target_modules=sorted(places.modules),
        rank_pattern=ranks,
        alpha_pattern=alphas,
        init_lora_weights=False,
        inference_mode=True,
        **{name: said[name] for name in kept if said.get(name)},
    )


def _pattern(said: Mapping[str, Any], field: str, module: str, default: Any) -> Any:
    patterns = said.get(field) or {}
    return patterns.get(get_pattern_key(list(patterns), module), default)


def _check_ranks(files: AdapterFiles, places: Places, ranks: Mapping[str, Any]) -> None:
    """A rank that is not the file's would scale the whole adapter wrongly, and load all the same."""
    for key, (module, part) in places.lora.items():
        if part in ("lora_A.weight", "lora_embedding_A"):
            rank, shape = ranks[re.escape(module)], files.tensors.info(key).shape
            if rank != shape[0]:
                raise CheckpointError(
                    f"{files.directory}: {key} has rank {shape[0]}, its configuration says {rank}; "
                    "the configuration belongs to another adapter"
                )


def _untie(model: nn.Module, files: AdapterFiles, places: Places) -> None:
    """Give the lm_head weights of its own where only it, or only the embedding, is changed."""
    get_in, get_out = (getattr(model, f"get_{side}_embeddings", None) for side in ("input", "output"))
    embedding, head = (None if get is None else get() for get in (get_in, get_out))
    if embedding is None or head is None or head.weight is not embedding.weight:
        return
    saved = [name for name in files.config.get("modules_to_save") or [] if isinstance(name, str)]
    names = {name for name, module in model.named_modules() if module is embedding or module is head}
    changed = names & places.modules.keys()
    changed |= {name for name in names if f"{name}.weight" in places.full.values() and _ends(name, saved)}
    if changed:
        head.weight = nn.Parameter(head.weight.detach().clone(), requires_grad=False)
        model.config.tie_word_embeddings = False  # type: ignore[union-attr]


def _ends(name: str, ends: list[str]) -> bool:
    return any(name == end or name.endswith(f".{end}") for end in ends)
