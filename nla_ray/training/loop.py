"""One training loop: cosine schedule with warm-up, clipped gradients, progress."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch

Report = Callable[[int, float], None]


def cosine(step: int, steps: int, warmup: int) -> float:
    """Learning rate factor in (0, 1]: linear over `warmup` steps, then half a cosine down to 5 %."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def fit(
    parameters: Iterable[torch.nn.Parameter],
    loss_of: Callable[[int], torch.Tensor],
    *,
    steps: int,
    lr: float,
    report: Report,
    warmup: int = 50,
) -> list[float]:
    """Run `steps` AdamW steps on `loss_of(step)`; `report(step, loss)` after each. Returns the losses."""
    trained = list(parameters)
    optimizer = torch.optim.AdamW(trained, lr=lr, betas=(0.9, 0.98), weight_decay=0.01)
    warmup = min(warmup, steps // 4 + 1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: cosine(step, steps, warmup))
    losses = []
    for step in range(steps):
        loss = loss_of(step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        report(step, losses[-1])
    return losses
