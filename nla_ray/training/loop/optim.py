"""The optimiser of every stage: AdamW, clipped gradients, a learning rate that is a function of the step."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict

from nla_ray.training.world import clip

_FLAT = StateDictOptions(flatten_optimizer_state_dict=True, ignore_frozen_params=True)
# What stands still is in no checkpoint, and torch would miss it.
_ALL_THAT_TRAIN = StateDictOptions(flatten_optimizer_state_dict=True, ignore_frozen_params=True, strict=False)
_MODEL = "model."


def adamw(model: nn.Module, weight_decay: float = 0.01) -> torch.optim.AdamW:
    """AdamW over the parameters that train; `Trained.move` gives it its learning rate."""
    trained = [one for one in model.parameters() if one.requires_grad]
    return torch.optim.AdamW(trained, lr=0.0, betas=(0.9, 0.98), weight_decay=weight_decay)


def cosine(step: int, steps: int, warmup: int) -> float:
    """Learning rate factor in (0, 1]: linear over `warmup` steps, then half a cosine down to 5 %."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


class Trained:
    """A model (as `prepare` left it) and its optimiser, as torch.distributed.checkpoint saves them.

    All values are tensors, under names that do not depend on how the model is wrapped or sharded: a
    checkpoint of one worker can be read by two, and the other way round.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.model, self.optimizer = model, optimizer

    def move(self, rate: float, longest: float) -> float:
        """Take a step at this rate along the gradients, clipped to a global L2 norm, and forget them.

        Returns the norm that they had; where it is not finite, no step is taken.
        """
        norm = clip(self.model, longest)
        if math.isfinite(norm):
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return norm

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Parameters that train as `model.NAME`, and the moments and step counts of the optimiser."""
        model, optimizer = get_state_dict(self.model, self.optimizer, options=_FLAT)
        tensors = {f"{_MODEL}{name}": value for name, value in model.items()} | optimizer
        return {name: value for name, value in tensors.items() if isinstance(value, torch.Tensor)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what was saved; the settings of the optimiser stay as they are."""
        own, optimizer = get_state_dict(self.model, self.optimizer, options=_FLAT)
        model = {name.removeprefix(_MODEL): value for name, value in state.items() if name.startswith(_MODEL)}
        if missing := own.keys() - model.keys():
            raise RuntimeError(f"a checkpoint without {min(missing)}: it is of another model")
        moments = {name: value for name, value in state.items() if not name.startswith(_MODEL)}
        set_state_dict(
            self.model,
            self.optimizer,
            model_state_dict=model,
            optim_state_dict=optimizer | moments,
            options=_ALL_THAT_TRAIN,
        )
