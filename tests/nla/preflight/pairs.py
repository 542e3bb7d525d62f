"""Pairs under the preflight: named, spoilt file by file, and what the checks say of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load_file, save_file

from nla_ray.config.models.reference import ModelRef
from nla_ray.nla.preflight.parts import Check


def refs(directories: Sequence[Path]) -> list[ModelRef]:
    """AV, AR and target, from the fixture's (target, AV, AR)."""
    return [ModelRef(path=str(directories[index])) for index in (1, 2, 0)]


def problems(checks: Sequence[Check]) -> dict[tuple[str, str], str]:
    return {(made.subject, made.name): made.detail for made in checks if made.status == "fail"}


def edit_sidecar(directory: Path, **changes: Any) -> None:
    path = directory / "nla_meta.yaml"
    meta = yaml.safe_load(path.read_text(encoding="utf-8"))
    for name, value in changes.items():
        group, _, key = name.rpartition("__")
        (meta[group] if group else meta)[key] = value
    path.write_text(yaml.safe_dump(meta, allow_unicode=True), encoding="utf-8")


def edit_config(directory: Path, **changes: Any) -> None:
    path = directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_tensors(file: Path, **changes: torch.Tensor | None) -> None:
    """Set or (None) drop tensors; `__` is the dot of a name."""
    tensors = load_file(file)
    for name, tensor in changes.items():
        tensors.pop(name.replace("__", "."), None)
        if tensor is not None:
            tensors[name.replace("__", ".")] = tensor
    save_file(tensors, file, metadata={"format": "pt"})
