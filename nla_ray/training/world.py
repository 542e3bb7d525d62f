"""What a rank knows of the others: sums over ranks, and models that train together (DDP or FSDP2)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

Parallel = Literal["ddp", "fsdp2"]


@dataclass(frozen=True)
class World:
    """This rank among `size`. With more than one, torch.distributed's process group has been started."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def first(self) -> bool:
        """Whether this rank is the one that writes and prints."""
        return self.rank == 0

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """Element-wise sum over ranks, detached; all ranks must call it with the same shape."""
        summed = values.detach().clone()
        if self.size > 1:
            distributed.all_reduce(summed)
        return summed

    def barrier(self) -> None:
        """Wait for the other ranks."""
        if self.size > 1:
            distributed.barrier()


def prepare(model: nn.Module, world: World, parallel: Parallel) -> nn.Module:
    """The model on the world's device, wrapped so that `backward` leaves the mean of the ranks' gradients.

    A loss that is a sum over the global batch divided by its size is therefore multiplied by `world.size` on
    each rank. `fsdp2` shards every block of the model's layers and then the rest, in place. Alone, a model is
    only moved.
    """
    if world.size == 1:
        return model.to(world.device)
    if parallel == "ddp":
        devices = [world.device] if world.device.type == "cuda" else None
        return DistributedDataParallel(model.to(world.device), device_ids=devices)
    mesh = init_device_mesh(world.device.type, (world.size,))
    for layers in [part for part in model.modules() if isinstance(part, nn.ModuleList)]:
        for block in layers:
            fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model


@contextmanager
def syncing(model: nn.Module, last: bool) -> Iterator[None]:
    """Gradients travel between ranks in this block only if `last`: once per step, not per micro batch."""
    if isinstance(model, FSDPModule):
        model.set_requires_gradient_sync(last)
        yield
    elif isinstance(model, DistributedDataParallel) and not last:
        with model.no_sync():
            yield
    else:
        yield


def plain(model: nn.Module) -> nn.Module:
    """The model that `prepare` was given (with FSDP2 its parameters are shards)."""
    return model.module if isinstance(model, DistributedDataParallel) else model


def full_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """All tensors of the model on the CPU under the names from before `prepare`; all ranks must call it.

    A tensor may share memory with a parameter: copy it before the next step.
    """
    return {name: _whole(tensor) for name, tensor in plain(model).state_dict().items()}


def clip(model: nn.Module, norm: float) -> float:
    """Scale the gradients down to this global L2 norm; returns the norm that they had."""
    total = torch.nn.utils.clip_grad_norm_(model.parameters(), norm)
    return float(total.full_tensor() if isinstance(total, DTensor) else total)


def _whole(tensor: torch.Tensor) -> torch.Tensor:
    tensor = tensor.detach()
    if not isinstance(tensor, DTensor):
        return tensor.cpu()
    # What is gathered is a view of the shards with their padding, which cannot be stored.
    return tensor.full_tensor().cpu().clone()
