"""EasyNLA and nanoNLA: a copy of the data set's sidecar; an AR is adapter and head in one file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nla_ray.errors import CheckpointError
from nla_ray.nla.sidecar.dialects.seen import AR_META, Seen, is_number, read_json

AR_WEIGHTS = "ar_lora_value_head.safetensors"


@dataclass(frozen=True)
class ArMeta:
    """What `ar_meta.json` says; `final_norm` is kept where the file does not say that it was stripped."""

    blocks: int
    rank: int
    alpha: float
    final_norm: bool


def translate(seen: Seen) -> dict[str, Any]:
    """Role by the files; a scale in here says nothing of how vectors enter, and is left out."""
    meta = dict(seen.meta or {})
    extraction = seen.group("extraction")
    extraction.pop("injection_scale", None)
    facts = seen.group("pair")
    if (seen.directory / AR_META).exists():
        found = read_ar_meta(seen.directory)
        facts |= {"ar_blocks": found.blocks, "ar_norm": found.final_norm}
    return meta | {"kind": "nla_model", "role": seen.role, "extraction": extraction, "pair": facts}


def read_ar_meta(directory: Path) -> ArMeta:
    """`ar_meta.json` of a reconstructor. Raises CheckpointError for another one than its trainer writes."""
    file = directory / AR_META
    found = read_json(file)
    try:
        blocks, rank, alpha = (found[name] for name in ("ar_num_layers", "lora_r", "lora_alpha"))
        stripped = found.get("final_norm_stripped", False)
        if not (_count(blocks) and _count(rank) and is_number(alpha) and alpha > 0):
            raise ValueError("ar_num_layers, lora_r and lora_alpha are positive numbers")
        if not isinstance(stripped, bool):
            raise ValueError("final_norm_stripped is true or false")
    except (KeyError, ValueError) as error:
        raise CheckpointError(
            f"{file}: not as its trainer writes it: {error}; ar_num_layers, lora_r and lora_alpha "
            "were expected"
        ) from None
    return ArMeta(blocks, rank, float(alpha), not stripped)


def _count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
