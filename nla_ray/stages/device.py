"""On what the models run."""

from __future__ import annotations

import torch

from nla_ray.config.decode import Engine
from nla_ray.errors import ConfigError
from nla_ray.nla.model.backbone import DTYPES


def device_of(engine: Engine) -> tuple[torch.device, torch.dtype]:
    """Device and type of the models; `auto` is bfloat16 on CUDA where there is one, else float32 on the CPU.

    Raises ConfigError for a CUDA device that is not there.
    """
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    name = ("cuda" if there else "cpu") if engine.device == "auto" else engine.device
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= there:
        raise ConfigError(f"engine.device: {name} is not there: {there} CUDA devices; use auto or cpu")
    kind = "bfloat16" if device.type == "cuda" else "float32"
    return device, DTYPES[kind if engine.dtype == "auto" else engine.dtype]
