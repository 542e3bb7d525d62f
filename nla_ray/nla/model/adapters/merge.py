"""An adapter put onto a loaded model: every key finds its place or is refused, then peft merges."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import nn

from nla_ray.errors import CheckpointError
from nla_ray.nla.model.adapters.contents import CONFIG_NAME
from nla_ray.nla.model.adapters.files import AdapterFiles, open_adapter
from nla_ray.nla.model.adapters.places import Places, places_of
from nla_ray.nla.model.adapters.translate import peft_config, require_all

_NAME = "default"
_PLAIN = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Adapter:
    """What an adapter changes in one model: LoRA layers beside its modules, tensors in place of parameters.

    The model itself stays as it was until `merge`.
    """

    directory: Path
    lora: Mapping[str, LoraLayer]
    full: Mapping[str, torch.Tensor]

    def merge(self, model: nn.Module) -> None:
        """Change the model's weights for good: sums in float32, kept in the type that each weight has.

        Raises CheckpointError where the outcome is not finite.
        """
        with torch.no_grad():
            # The file may hold the very weights that a LoRA layer was trained over.
            for name in self.full:
                self.replace(model, name)
            for name in self.lora:
                self.merge_lora(name)

    def merge_lora(self, name: str) -> None:
        """The weights of one module, as `merge` changes them; the tensors that they had are not touched."""
        layer = self.lora[name]
        base: Any = layer.get_base_layer()
        changed = [one for one in (base.weight, getattr(base, "bias", None)) if one is not None]
        before = [one.data for one in changed]
        for one in changed:
            one.data = one.data.float()
        try:
            layer.merge(safe_merge=True, adapter_names=[_NAME])
        except (ValueError, RuntimeError) as error:
            for one, data in zip(changed, before, strict=True):
                one.data = data
            raise CheckpointError(f"{self.directory}: {name}: cannot be merged: {error}") from error
        layer.merged_adapters.clear()
        for one, data in zip(changed, before, strict=True):
            one.data = one.data.to(data.dtype)
            # Sums in float32 were looked at by peft.
            if data.dtype != torch.float32 and not one.data.isfinite().all():
                raise CheckpointError(
                    f"{self.directory}: {name}: the merged weights do not fit into {data.dtype}; the adapter "
                    "is damaged, or its scale is another one"
                )

    def replace(self, model: nn.Module, name: str) -> None:
        """One parameter by the tensor that the adapter has for it."""
        weight = model.get_parameter(name)
        weight.data = self.full[name].to(weight.device, weight.dtype)


def attach(model: nn.Module, directory: Path, *, blocks: int) -> Adapter:
    """The adapter in `directory` for a model with all or the first of the base's `blocks`.

    On a model on the meta device headers are compared and no value is read. Raises CheckpointError for what
    is not LoRA as it is merged here, for an adapter that does not fit the model in every part, and for
    weights that stay quantised.
    """
    files = open_adapter(directory)
    places = places_of(files, model, blocks)
    try:
        require_all(files, places, model)
        config = peft_config(files, places) if places.modules else None
    # Values that contradict each other, and patterns that are no regular expressions.
    except (ValueError, TypeError, re.error) as error:
        raise CheckpointError(f"{directory / CONFIG_NAME}: {' '.join(str(error).split())[:300]}") from None
    _refuse_packed(model, files, places)
    meta = next(model.parameters()).is_meta
    full = {name: _tensor(files, key, meta) for key, name in places.full.items()}
    lora = {} if config is None else _layers(model, files, places, config)
    _untie(model, files, places)
    return Adapter(directory, lora, full)


def _refuse_packed(model: nn.Module, files: AdapterFiles, places: Places) -> None:
    """Numbers that stand for others by a scale are no weights that anything can be added to."""
    for name in {*places.modules, *(name.rpartition(".")[0] for name in places.full.values())}:
        for weight in model.get_submodule(name).parameters(recurse=False):
            if weight.dtype not in _PLAIN:
                raise CheckpointError(
                    f"{files.directory}: {name} of its base stays quantised ({weight.dtype}), and an adapter "
                    "cannot be merged into that: name the unquantised base, ADAPTER on BASE"
                )


def _tensor(files: AdapterFiles, key: str, meta: bool) -> torch.Tensor:
    if meta:
        return torch.empty(files.tensors.info(key).shape, device="meta")
    files.tensors.check_finite(key)
    return files.tensors.tensor(key).float()


def _layers(
    model: nn.Module, files: AdapterFiles, places: Places, config: LoraConfig
) -> dict[str, LoraLayer]:
    """The LoRA layers of peft with the file's tensors, taken out of the model again."""
    meta = next(model.parameters()).is_meta
    with warnings.catch_warnings():
        # What peft warns of is checked here.
        warnings.simplefilter("ignore")
        try:
            inject_adapter_in_model(config, model, _NAME, low_cpu_mem_usage=True)
        # peft refuses in many ways, and means the same by all of them.
        except Exception as error:
            problem = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            raise CheckpointError(f"{files.directory}: cannot be applied: {problem}") from error
    found = {name: module for name, module in model.named_modules() if isinstance(module, LoraLayer)}
    for name, layer in found.items():
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, layer.get_base_layer())
    del model.peft_config
    keys = {f"{module}.{part.removesuffix('.weight')}": key for key, (module, part) in places.lora.items()}
    for name, layer in found.items():
        _fill(files, cast(nn.Module, layer), name, keys, meta)
    if keys:
        raise CheckpointError(
            f"{files.directory}: {next(iter(keys.values()))}: its configuration has no such part; it "
            "belongs to another adapter"
        )
    return found


def _fill(files: AdapterFiles, layer: nn.Module, name: str, keys: dict[str, str], meta: bool) -> None:
    """Give a layer its tensors in float32, whatever its module's weights are in, and take them off `keys`."""
    device = next(layer.get_submodule("base_layer").parameters()).device
    for own, weight in list(layer.named_parameters()):
        if own.startswith("base_layer."):
            continue
        key = keys.pop(f"{name}.{own.replace(f'.{_NAME}', '').removesuffix('.weight')}", None)
        if key is None:
            raise CheckpointError(f"{files.directory}: {name}: the file has no {own}; save the adapter again")
        tensor = _tensor(files, key, meta)
        if tensor.shape != weight.shape:
            raise CheckpointError(
                f"{files.directory}: {key} has shape {list(tensor.shape)}, {list(weight.shape)} was "
                "expected; its configuration or its base is another one"
            )
        parent, _, last = own.rpartition(".")
        setattr(layer.get_submodule(parent), last, nn.Parameter(tensor.to(device), requires_grad=False))


def _untie(model: nn.Module, files: AdapterFiles, places: Places) -> None:
    """Give the head weights of its own where the adapter changes it alone, or the embedding alone."""
    get_in, get_out = (getattr(model, f"get_{side}_embeddings", None) for side in ("input", "output"))
    embedding, head = (None if get is None else get() for get in (get_in, get_out))
    if embedding is None or head is None or head.weight is not embedding.weight:
        return
    names = {name for name, module in model.named_modules() if module is embedding or module is head}
    saved = [f".{name}" for name in files.config.get("modules_to_save") or []]
    alone = {name for name in names if f".{name}".endswith(tuple(saved))}
    if alone or names & places.modules.keys():
        head.weight = nn.Parameter(head.weight.detach().clone(), requires_grad=False)
        cast(Any, model).config.tie_word_embeddings = False
