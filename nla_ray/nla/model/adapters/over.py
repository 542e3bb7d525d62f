"""Adapters over a base that others use too: merged block by block while the model runs, then taken off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from nla_ray.nla.model.adapters.merge import Adapter
from nla_ray.nla.model.blocks.stack import BLOCK


@contextmanager
def merged_while_run(model: nn.Module, adapters: Sequence[Adapter]) -> Iterator[None]:
    """Within, each block has the weights that `Adapter.merge` would leave in it, but only while it runs.

    Beside the model's own weights those of one block are held at a time. What is not in a block (embedding,
    norm) is merged while it runs itself.
    """
    over = _Over(model, adapters)
    handles = []
    for name in over.owners:
        module = model.get_submodule(name)
        handles.append(module.register_forward_pre_hook(over.lay(name)))
        handles.append(module.register_forward_hook(over.lift(name), always_call=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for name in over.owners:
            over.restore(name)


class _Over:
    def __init__(self, model: nn.Module, adapters: Sequence[Adapter]) -> None:
        self._model, self._adapters = model, adapters
        self._before: dict[str, list[tuple[nn.Parameter, torch.Tensor]]] = {}
        modules = {name for one in adapters for name in one.lora}
        modules |= {name.rpartition(".")[0] for one in adapters for name in one.full}
        self._modules: dict[str, set[str]] = {}
        for name in modules:
            block = BLOCK.search(name)
            self._modules.setdefault(name[: block.end() - 1] if block else name, set()).add(name)

    @property
    def owners(self) -> list[str]:
        """The blocks, and the modules outside of them, of which something is changed."""
        return sorted(self._modules)

    def lay(self, owner: str) -> Any:
        """The hook before a block."""

        def hook(_module: nn.Module, _inputs: object) -> None:
            modules = self._modules[owner]
            own = [
                one for name in modules for one in self._model.get_submodule(name).parameters(recurse=False)
            ]
            self._before[owner] = [(one, one.data) for one in own]
            with torch.inference_mode(False), torch.no_grad():
                for adapter in self._adapters:
                    for name in adapter.full:
                        if name.rpartition(".")[0] in modules:
                            adapter.replace(self._model, name)
                    for name in adapter.lora:
                        if name in modules:
                            adapter.merge_lora(name)

        return hook

    def lift(self, owner: str) -> Any:
        """The hook after a block, whether it succeeded or not."""

        def hook(_module: nn.Module, _inputs: object, _output: object) -> None:
            self.restore(owner)

        return hook

    def restore(self, owner: str) -> None:
        """Give the block its own weights back."""
        for weight, data in self._before.pop(owner, []):
            weight.data = data
