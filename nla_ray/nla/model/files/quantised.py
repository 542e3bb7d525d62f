"""Quantised checkpoints: what config.json says of the weights, what that needs, how it is loaded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedConfig
from transformers.utils.quantization_config import FineGrainedFP8Config, Mxfp4Config

from nla_ray.errors import CheckpointError
from nla_ray.nla.model.files.weights import SafetensorsDir

PLAIN = ("F64", "F32", "F16", "BF16")
"""Types of weights, as safetensors names them, that are what they say."""


@dataclass(frozen=True)
class Method:
    """A way of quantising that transformers loads: the packages it needs, as (import, pip) names."""

    packages: tuple[tuple[str, str], ...] = ()
    on_cpu: bool = True
    unpacks: type[Any] | None = None
    """Weights become plain ones at load, by this configuration, where no kernel for them can be had."""
    kernels: tuple[tuple[str, str], ...] = ()
    """What a GPU needs in order to run the weights packed."""


METHODS = {
    "bitsandbytes": Method((("bitsandbytes", "bitsandbytes"),)),
    "gptq": Method((("gptqmodel", "gptqmodel"), ("optimum", "optimum"))),
    "awq": Method((("gptqmodel", "gptqmodel"),)),
    "compressed-tensors": Method((("compressed_tensors", "compressed-tensors"),)),
    "torchao": Method((("torchao", "torchao"),)),
    "fbgemm_fp8": Method((("fbgemm_gpu", "fbgemm-gpu"),), on_cpu=False),
    "fp8": Method(unpacks=FineGrainedFP8Config, kernels=(("kernels", "kernels"), ("triton", "triton"))),
    "mxfp4": Method(unpacks=Mxfp4Config, kernels=(("kernels", "kernels"), ("triton", "triton"))),
}
"""By `quant_method`. Another one transformers passes over, and loads packed numbers as weights."""


@dataclass(frozen=True)
class Quantisation:
    """What a checkpoint says of its quantised weights."""

    file: Path
    name: str
    said: dict[str, Any]

    @property
    def method(self) -> Method:
        """What is known of the method; see `check`."""
        return METHODS[self.name]

    def unpacked(self, device: torch.device) -> bool:
        """Whether its weights become plain ones there: the same numbers, in more memory."""
        method = self.method
        if method.unpacks is None:
            return False
        return device.type != "cuda" or bool(_missing(method.kernels))

    def refuse_adapter(self, view: Path, device: torch.device) -> None:
        """Raise CheckpointError where weights stay packed: sums with these are sums with other numbers."""
        if not self.unpacked(device):
            raise CheckpointError(
                f"{view}: an adapter over weights that stay quantised ({self.name}) on {device.type}, into "
                "which it cannot be merged: name the unquantised base, ADAPTER on BASE"
            )

    def loading(self, config: PreTrainedConfig, device: torch.device) -> dict[str, Any]:
        """Arguments of `from_pretrained`; `config` gets what a wrapper's text part does not say itself.

        Weights that stay packed are placed while they are loaded: some cannot be moved afterwards.
        """
        if getattr(config, "quantization_config", None) is None:
            config.quantization_config = self.said
        if self.unpacked(device) and self.method.unpacks is not None:
            return {"quantization_config": self.method.unpacks(dequantize=True)}
        return {"device_map": {"": device}}


def quantisation_of(directory: Path) -> Quantisation | None:
    """What config.json says of quantised weights; None for plain ones.

    Raises CheckpointError for a method that is not known, and where a package that it needs is missing.
    """
    file = Path(directory) / "config.json"
    said = _said(file)
    if said is None:
        return None
    name = said.get("quant_method")
    if name is None and ("load_in_4bit" in said or "load_in_8bit" in said):
        name = "bitsandbytes"
    if not isinstance(name, str) or name not in METHODS:
        raise CheckpointError.field(
            file,
            "quantization_config.quant_method",
            name,
            f"loaded are {', '.join(METHODS)}: use the unquantised checkpoint",
        )
    missing = _missing(METHODS[name].packages)
    if missing:
        raise CheckpointError(
            f"{file}: its weights are quantised by {name}, which needs what is not installed: "
            f"pip install {' '.join(missing)}; or use the unquantised checkpoint"
        )
    return Quantisation(file, name, said)


def check(directory: Path, weights: SafetensorsDir, device: torch.device) -> Quantisation | None:
    """The same, for a device, held against the types of the tensors, before any of them is read.

    Raises CheckpointError too for a method that the device cannot run, and for packed weights of which
    config.json says nothing: they would be taken for plain numbers.
    """
    found = quantisation_of(directory)
    if found is None:
        require_plain(weights)
        return None
    if device.type == "cpu" and not found.method.on_cpu:
        raise CheckpointError(
            f"{found.file}: its weights are quantised by {found.name}, which runs on a GPU only: choose "
            "one by "
            "engine.device, or use the unquantised checkpoint"
        )
    return found


def require_plain(weights: SafetensorsDir) -> None:
    """Raise CheckpointError for tensors that are not plain floating-point numbers."""
    packed = [name for name in weights.headers if weights.info(name).dtype not in PLAIN]
    if packed:
        raise CheckpointError(
            f"{weights.directory}: {packed[0]} and {len(packed) - 1} more tensors are of type "
            f"{weights.info(packed[0]).dtype}, and config.json has no quantization_config that says what "
            "they "
            f"are; {', '.join(PLAIN)} are read: use the unquantised checkpoint"
        )


def refuse_quantised(directory: Path) -> None:
    """Raise CheckpointError for quantised weights, which no training can go on from."""
    found = quantisation_of(directory)
    if found is not None:
        raise CheckpointError(
            f"{found.file}: its weights are quantised by {found.name}; training starts from plain "
            "weights: use the "
            "unquantised checkpoint"
        )


def _said(file: Path) -> dict[str, Any] | None:
    """Of the whole model, else of the text part of a wrapper."""
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
        text = raw.get("text_config") or {}
        for place in (raw, text):
            for key in ("quantization_config", "compression_config"):
                if place.get(key) is not None:
                    return dict(place[key])
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"{file}: quantization_config cannot be read: {type(error).__name__}: {str(error)[:200]}"
        ) from None
    return None


def _missing(packages: Sequence[tuple[str, str]]) -> list[str]:
    return [pip for module, pip in packages if find_spec(module) is None]
