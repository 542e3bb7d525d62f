"""Adapters as peft leaves them, with random weights, and what peft itself computes with them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn

from nla_ray.nla.model.backbone import alone

IDS = torch.arange(5, 25)[None]


def trained(
    base: Path | nn.Module, out: Path, *, factory: str = "AutoModelForCausalLM", seed: int = 0, **said: Any
) -> Callable[[], torch.Tensor]:
    """Save an adapter over a model; what comes back is peft's own forward: logits, or last hidden states."""
    model: Any = base
    if isinstance(base, Path):
        with alone():
            model = getattr(transformers, factory).from_pretrained(base, dtype=torch.float32)
    options: dict[str, Any] = {
        "r": 4,
        "lora_alpha": 8,
        "target_modules": ["q_proj", "down_proj"],
        "task_type": None,
    } | said
    torch.manual_seed(seed)
    with _no_warnings():
        tuned = get_peft_model(model.eval(), LoraConfig(init_lora_weights=False, **options)).eval()
        _step_away(tuned)
        tuned.save_pretrained(str(out))
    return lambda: outcome(tuned)


def outcome(model: Any) -> torch.Tensor:
    """Logits of a causal LM on a fixed text, or the last hidden states of a bare stack."""
    with torch.no_grad():
        found = model(input_ids=IDS, use_cache=False)
    value: torch.Tensor = found.logits if hasattr(found, "logits") else found.last_hidden_state
    return value


def merged_by_peft(base: Path, *adapters: Path) -> Any:
    """The base with the adapters merged by peft alone, one after the other."""
    with alone():
        model: Any = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    for adapter in adapters:
        with _no_warnings():
            model = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    return model.eval()


@contextmanager
def _no_warnings() -> Iterator[None]:
    """peft asks newer transformers by an older name, and warns of what the tests are about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _step_away(model: nn.Module) -> None:
    """Random steps from where training starts, small enough to leave a sane model."""
    generator = torch.Generator().manual_seed(torch.initial_seed())
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.requires_grad:
                fresh = "lora_A" in name or "lora_B" in name or "lora_embedding" in name
                start = 0.0 if fresh else weight
                weight.copy_(start + 0.05 * torch.randn(weight.shape, generator=generator))
