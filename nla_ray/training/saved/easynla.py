"""A released adapter in EasyNLA's form: AV as of peft, AR as one file, each with a data set's sidecar."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import yaml
from safetensors.torch import load_file, save_file

from nla_ray.config.models.injection import Injection
from nla_ray.errors import ConfigError
from nla_ray.nla.model.adapters.contents import CONFIG_NAME, PREFIX, WEIGHTS_NAME
from nla_ray.nla.model.files.weights import HEAD_NAME
from nla_ray.nla.sidecar.dialects.easynla import AR_WEIGHTS
from nla_ray.nla.sidecar.dialects.seen import AR_META, SIDECAR_NAME
from nla_ray.nla.sidecar.read import Sidecar

ADDED = Injection("add_matched", "output", 1, 1.0)
"""The one way in which it gives vectors; no file of it says so."""


def require_easynla(av: Sidecar) -> None:
    """Raise ConfigError for a verbalizer that its form would say wrongly of."""
    if av.injection != ADDED or av.facts.said():
        said = f"vectors enter by {av.injection}" if av.injection != ADDED else "its prompt is made otherwise"
        raise ConfigError(
            f"lora.release: easynla: {said}; its form means {ADDED} and a plain user's turn, and can say "
            "nothing else: train so, or take adapter"
        )


def write_easynla(directory: Path, release: Path, sidecar: Sidecar) -> None:
    """Write what `write_adapter` left in `release`, which says this of itself; raises OSError."""
    directory.mkdir(parents=True)
    apart = {CONFIG_NAME, WEIGHTS_NAME, HEAD_NAME, SIDECAR_NAME}
    for file in release.iterdir():
        if file.name not in apart or (sidecar.role == "av" and file.name != SIDECAR_NAME):
            shutil.copyfile(file, directory / file.name)
    if sidecar.role == "ar":
        _write_ar(directory, release, sidecar)
    text = yaml.safe_dump(_data_sidecar(sidecar), sort_keys=False, allow_unicode=True)
    (directory / SIDECAR_NAME).write_text(text, encoding="utf-8")


def _write_ar(directory: Path, release: Path, sidecar: Sidecar) -> None:
    said = json.loads((release / CONFIG_NAME).read_text(encoding="utf-8"))
    tensors = {
        f"backbone.{name.removeprefix(PREFIX).removesuffix('.weight')}.default.weight": tensor
        for name, tensor in load_file(release / WEIGHTS_NAME).items()
    }
    head = {"value_head.weight": load_file(release / HEAD_NAME)["weight"]}
    save_file(tensors | head, directory / AR_WEIGHTS)
    meta = {
        "ar_num_layers": sidecar.layer + 1, "lora_r": said["r"], "lora_alpha": said["lora_alpha"],
        "quant": None, "target_modules": said["target_modules"], "final_norm_stripped": True,
    }  # fmt: skip
    (directory / AR_META).write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")


def _data_sidecar(sidecar: Sidecar) -> dict[str, Any]:
    suffix = sidecar.ar_suffix_ids
    tokens: dict[str, Any] = {"critic_suffix_ids": None if suffix is None else list(suffix)}
    if (marker := sidecar.marker) is not None:
        tokens |= {
            "injection_char": marker.char, "injection_token_id": marker.token_id,
            "injection_left_neighbor_id": marker.left_id, "injection_right_neighbor_id": marker.right_id,
        }  # fmt: skip
    extraction = {
        "base_model": (sidecar.extra.get("extraction") or {}).get("base_model"), "d_model": sidecar.d_model,
        "layer_index": sidecar.layer, "norm": "none",
    }  # fmt: skip
    return {
        "kind": "nla_dataset", "schema_version": 1, "stage": f"{sidecar.role}_sft", "extraction": extraction,
        "tokens": tokens, "prompt_templates": {"actor": sidecar.av_template, "critic": sidecar.ar_template},
        "created_by": sidecar.extra.get("created_by"),
    }  # fmt: skip
