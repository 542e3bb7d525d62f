"""Weights laid out for small batches on a CPU: one copy at load, faster products at every step."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from nla_ray.errors import EngineError

_CACHE_LINE = 16
"""float32 numbers in 64 bytes."""


class PackedLinear(nn.Module):
    """A linear layer whose weight is stored transposed, [inputs, outputs], with a cache line behind each row.

    A product with few rows then reads the weight in the order in which it lies. The extra line keeps rows
    whose width is a power of two from falling into the same cache sets.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        padded = nn.functional.pad(linear.weight.t(), (0, _CACHE_LINE)).contiguous()
        self.weight_IO = padded[:, : linear.out_features]
        self.bias: torch.Tensor | None = linear.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x_NI = x.reshape(-1, x.shape[-1])
        if self.bias is None:
            y_NO = torch.mm(x_NI, self.weight_IO)
        else:
            y_NO = torch.addmm(self.bias, x_NI, self.weight_IO)
        return y_NO.view(*x.shape[:-1], -1)


def pack(model: nn.Module) -> None:
    """Replace, in place, the linear layers of a float32 model on a CPU; other ones and shares stay."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear and _packable(child.weight):
                setattr(parent, name, PackedLinear(child))


def _packable(weight: torch.Tensor) -> bool:
    return weight.is_cpu and weight.dtype == torch.float32 and not isinstance(weight, DTensor)


@torch.no_grad()
def overwrite(model: nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Copy tensors, named as before packing, into the model in place.

    Raises EngineError where one that the model has is missing or of another shape.
    """
    targets = {
        f"{name}.weight": module.weight_IO.t()
        for name, module in model.named_modules()
        if isinstance(module, PackedLinear)
    }
    for name, target in (targets | model.state_dict()).items():
        found = weights.get(name)
        if found is None or found.shape != target.shape:
            shape = None if found is None else list(found.shape)
            raise EngineError(
                f"new weights: {name}: found {shape}, the engine's model has {list(target.shape)}; "
                "they belong to another model"
            )
        target.copy_(found)
