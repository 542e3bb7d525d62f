"""Low-rank adapters (LoRA) on a model that trains: put in, switched off for the reference, merged to be read.

The base is frozen in the type of the matrix products; adapters are float32. The names that a model's tensors
have without adapters are those by which engines and releases know them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from transformers.pytorch_utils import Conv1D

from nla_ray.config.training.lora import Lora
from nla_ray.errors import ConfigError
from nla_ray.nla.model.backbone import alone, load_config
from nla_ray.nla.model.blocks.cut import skeleton
from nla_ray.nla.model.blocks.stack import find_stack
from nla_ray.training.world import full_state, plain

ADAPTER = "default"
_BASE, A, B = ".base_layer.", f".lora_A.{ADAPTER}.weight", f".lora_B.{ADAPTER}.weight"


@dataclass(frozen=True)
class Adapting:
    """How models are adapted: the options, the type of the frozen base, the seed of the adapters' start."""

    options: Lora
    dtype: torch.dtype
    seed: int


def adapt(model: Any, blocks: nn.ModuleList, adapting: Adapting) -> None:
    """Freeze `model` and put adapters on linear layers of its `blocks`; at first they change nothing.

    Raises ConfigError for targets that are no linear layers of the blocks, a rank that none of them can have,
    and blocks of transposed layers.
    """
    options, kind = adapting.options, model.config.model_type
    if any(isinstance(one, Conv1D) for one in blocks.modules()):
        raise ConfigError(
            f"lora: the blocks of {kind} keep their matrices transposed (Conv1D), and adapters on them are "
            "not trained here; leave lora out to train all weights"
        )
    config = LoraConfig(
        r=options.rank, lora_alpha=options.alpha, use_rslora=options.rslora,  # type: ignore[arg-type]
        target_modules=_targets(model, blocks, options),
    )  # fmt: skip
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(adapting.seed)
            inject_adapter_in_model(config, model, ADAPTER)
    # peft refuses layers of some families in ways of its own.
    except Exception as error:
        raise ConfigError(f"lora: {kind} cannot be adapted: {error}; name other lora.targets") from error
    for name, layer in model.named_modules():
        if isinstance(layer, LoraLayer) and not isinstance(layer.get_base_layer(), nn.Linear):
            raise ConfigError(f"lora: {kind}: {name} is no linear layer, and cannot be merged or released")
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def check_lora(directory: Path, options: Lora, blocks: int | None) -> None:
    """Raise ConfigError where `adapt` would, on all or the first `blocks` of a model; reads no weights."""
    with alone():
        model = skeleton(load_config(directory))
    stack = find_stack(model, directory)
    if blocks is not None:
        stack.cut(blocks)
    adapt(model, stack.blocks, Adapting(options, torch.float32, seed=0))


def adapted(model: nn.Module) -> bool:
    """Whether the model has adapters."""
    return any(isinstance(one, LoraLayer) for one in model.modules())


@contextmanager
def without_adapters(model: nn.Module) -> Iterator[None]:
    """In this block the model is its base."""
    layers = [one for one in model.modules() if isinstance(one, BaseTunerLayer)]
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)


class Merged(Mapping[str, torch.Tensor]):
    """The state of an adapted model as if it had none; a matrix is merged, in float32, when it is asked for.

    `scales`: what the product of an adapter is multiplied by, by the name of its layer.
    """

    def __init__(self, state: Mapping[str, torch.Tensor], scales: Mapping[str, float]) -> None:
        self._state, self._scales = state, scales
        self._names = {name.replace(_BASE, "."): name for name in state if ".lora_" not in name}

    def __getitem__(self, name: str) -> torch.Tensor:
        stored = self._state[self._names[name]]
        layer, _, kind = name.rpartition(".")
        if kind != "weight" or layer not in self._scales:
            return stored
        left_OR, right_RI = self._state[layer + B].float(), self._state[layer + A].float()
        return stored.float() + self._scales[layer] * (left_OR @ right_RI)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def whole_state(model: nn.Module) -> Mapping[str, torch.Tensor]:
    """`full_state`, adapters merged in; all ranks must call it."""
    state, scales = full_state(model), scales_of(plain(model))
    return Merged(state, scales) if scales else state


def scales_of(model: nn.Module) -> dict[str, float]:
    """What the product of each adapter is multiplied by, by the name of its layer."""
    return {
        name: float(one.scaling[ADAPTER]) for name, one in model.named_modules() if isinstance(one, LoraLayer)
    }


def _targets(model: nn.Module, blocks: nn.ModuleList, options: Lora) -> list[str]:
    """Full names of the layers to adapt: by its own search peft also takes routers and packed experts."""
    inside = next(name for name, one in model.named_modules() if one is blocks)
    linear = {name: one for name, one in blocks.named_modules() if isinstance(one, nn.Linear)}
    known = {name.rpartition(".")[2] for name in linear}
    wanted = known if options.targets == "all-linear" else set(options.targets)
    if not known:
        raise ConfigError(
            "lora: the model's blocks have no linear layers; leave lora out to train all weights"
        )
    if odd := sorted(wanted - known):
        raise ConfigError(
            f"lora.targets: {odd[0]!r} is no linear layer of the model's blocks, which have "
            f"{', '.join(sorted(known))}; name some of these, or all-linear"
        )
    chosen = {name: one for name, one in linear.items() if name.rpartition(".")[2] in wanted}
    _check_rank(options.rank, chosen)
    return [f"{inside}.{name}" for name in chosen]


def _check_rank(rank: int, layers: Mapping[str, nn.Linear]) -> None:
    name, widest = max(layers.items(), key=lambda one: min(one[1].weight.shape))
    if rank > (most := min(widest.weight.shape)):
        raise ConfigError(
            f"lora.rank: {rank}, and no layer that is adapted has a rank above {most} ({name} is "
            f"{list(widest.weight.shape)}); 1..{most} makes sense, 8 to 64 is usual"
        )
