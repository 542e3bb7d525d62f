"""The one writer of model sidecars: the released dialect, which the public reference client loads."""

from __future__ import annotations

import os
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from nla_ray.config.models.injection import Injection
from nla_ray.nla.sidecar.known import PAIR
from nla_ray.nla.sidecar.read import AR_NAMES, AV_NAMES, SIDECAR_NAME, Sidecar

_OUR_EXTRACTION_KEYS = ("d_model", "layer_index", "injection", "injection_scale")
_OUR_LAYER_KEYS = ("extraction_layer_index", "num_hidden_layers")


def write_sidecar(directory: Path, sidecar: Sidecar) -> None:
    """Write `directory/nla_meta.yaml`; keys of `sidecar.extra` that are not ours are kept.

    The file is complete or absent: it is written beside its place and renamed.
    """
    path = Path(directory) / SIDECAR_NAME
    beside = path.with_name(f".{SIDECAR_NAME}.{os.getpid()}")
    text = yaml.safe_dump(_released(sidecar), sort_keys=False, allow_unicode=True)
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def _released(sidecar: Sidecar) -> dict[str, Any]:
    """The released dialect: one name for each value, ours on top of what was read."""
    kept: dict[str, Any] = deepcopy(dict(sidecar.extra))
    ours: dict[str, Any] = {
        "kind": "nla_model",
        "schema_version": 2,
        "role": sidecar.role,
        "d_model": sidecar.d_model,
        "extraction_layer_index": sidecar.layer,
        "extraction": _group(kept, "extraction", drop=_OUR_EXTRACTION_KEYS)
        | _injection(sidecar.injection)
        | {"mse_scale": sidecar.mse_scale},
        "tokens": _group(kept, "tokens") | _tokens(sidecar),
        "prompt_templates": _group(kept, "prompt_templates", drop=AV_NAMES + AR_NAMES)
        | _without_none({"av": sidecar.av_template, "ar": sidecar.ar_template}),
        "critic": _group(kept, "critic", drop=_OUR_LAYER_KEYS) | {"extraction_layer_index": sidecar.layer},
    }
    kept.pop(PAIR, None)
    if pair := sidecar.facts.said():
        ours[PAIR] = pair
    for name in ("ar", "reconstructor"):
        if isinstance(kept.get(name), dict):
            kept[name] = _group(kept, name, drop=_OUR_LAYER_KEYS)
    kept.pop("layer", None)
    return ours | {key: value for key, value in kept.items() if key not in ours and value != {}}


def _injection(injection: Injection | None) -> dict[str, Any]:
    """The released dialect's scale where it is its injection; else words of ours, and no scale.

    Whoever knows the released dialect alone then finds the scale missing, instead of reading wrongly.
    """
    if injection is None:
        return {"injection_scale": None}
    if injection == Injection.replacing(injection.scale):
        return {"injection_scale": injection.scale}
    return {"injection": str(injection)}


def _tokens(sidecar: Sidecar) -> dict[str, Any]:
    tokens: dict[str, Any] = {}
    if sidecar.marker is not None:
        tokens = {
            "injection_char": sidecar.marker.char,
            "injection_token_id": sidecar.marker.token_id,
            "injection_left_neighbor_id": sidecar.marker.left_id,
            "injection_right_neighbor_id": sidecar.marker.right_id,
        }
    suffix = sidecar.ar_suffix_ids
    return tokens | {"critic_suffix_ids": None if suffix is None else list(suffix)}


def _group(kept: dict[str, Any], name: str, drop: tuple[str, ...] = ()) -> dict[str, Any]:
    group = kept.get(name)
    return {key: value for key, value in group.items() if key not in drop} if isinstance(group, dict) else {}


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
