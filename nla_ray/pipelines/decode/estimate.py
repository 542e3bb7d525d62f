"""About how long a decode will take, from the sizes of the models and the speed of what runs them."""

from __future__ import annotations

import time
from pathlib import Path

import torch

from nla_ray.nla.model.backbone import alone, load_config
from nla_ray.nla.model.blocks.cut import skeleton
from nla_ray.nla.model.blocks.stack import find_stack
from nla_ray.pipelines.decode.planning import Decode

ASSUMED_GPU_FLOPS = 790e12
"""Dense bf16 of one H100, as measured; taken where the GPUs are on other machines."""

EFFICIENCY = 0.25
"""Share of the matrix product's speed that whole stages reach; 7B on one H100: 88-133 vectors/s."""

AV_PROMPT_TAIL = 14
MEAN_ANSWER = 0.87
"""Mean over longest answer."""


def estimated_seconds(ready: Decode) -> float | None:
    """Time of the stages, without start and loading; None where the target's answers decide how much it is.

    2 x parameters x tokens for every model; embeddings are counted, attention is not.
    """
    survey, config = ready.survey, ready.config
    rows = [task.planned for task in ready.tasks]
    if None in rows or survey.vectors is None:
        return None
    answer = config.sampling.max_new_tokens * MEAN_ANSWER
    answers = sum(count or 0 for count in rows)
    at = ready.checkpoints
    work = parameters(at.av) * answers * (AV_PROMPT_TAIL + answer)
    work += 0 if at.ar is None else parameters(at.ar) * answers * answer
    if at.target is not None and config.corpus.vectors is None:
        work += parameters(at.target, ready.identity.layer + 1) * survey.tokens
    return 2 * work / (flops(ready) * EFFICIENCY)


def parameters(directory: Path, layers: int | None = None) -> int:
    """Numbers in a model, or in its first `layers` blocks, from its configuration alone."""
    with alone():
        stack = find_stack(skeleton(load_config(directory)), directory)
    stack.cut(len(stack.blocks) if layers is None else layers)
    return sum(weight.numel() for weight in stack.body.parameters())


def flops(ready: Decode) -> float:
    """Operations a second of all workers together: measured here, or assumed for GPUs elsewhere."""
    config = ready.config
    device = torch.device(config.engine.device)
    pool = config.runner.pool if config.runner.pools is None else config.runner.pools.verbalize
    if device.type == "cuda" and not torch.cuda.is_available():
        return ASSUMED_GPU_FLOPS * pool.actors
    dtype = torch.bfloat16 if config.engine.dtype == "bfloat16" else torch.float32
    return measured_flops(device, dtype) * (pool.actors if device.type == "cuda" else 1)


def measured_flops(device: torch.device, dtype: torch.dtype, n: int = 1024, seconds: float = 0.3) -> float:
    """Speed of a product of two n x n matrices: 2 n^3 operations each."""
    one = torch.ones(n, n, device=device, dtype=dtype)
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        (one @ one).sum().item()
        done += 1
    return 2 * n**3 * done / (time.perf_counter() - started)
