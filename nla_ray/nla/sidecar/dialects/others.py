"""Smaller dialects: no `kind`, no templates, no sidecar at all (activation oracles among them)."""

from __future__ import annotations

from typing import Any

from nla_ray.errors import CheckpointError
from nla_ray.nla.sidecar.dialects.seen import Seen, read_json

ORACLE_MARKER = " ?"


def kindless(seen: Seen) -> dict[str, Any]:
    """kameshkanna/nla-train: the released dialect without `kind`."""
    return {"kind": "nla_model", **(seen.meta or {})}


def templateless(seen: Seen) -> dict[str, Any]:
    """gemma-4-E2B: K under `extraction.layer`; templates and the marker's character are said elsewhere."""
    meta = dict(seen.meta or {})
    extraction = seen.group("extraction")
    if "extraction_layer_index" not in meta and "layer" in extraction:
        meta["extraction_layer_index"] = extraction.pop("layer")
    return meta | {"extraction": extraction}


def bare(seen: Seen) -> dict[str, Any]:
    """No sidecar: everything from the table or from options; the width from `config.json`."""
    meta: dict[str, Any] = {"kind": "nla_model", "role": seen.role, "d_model": _width(seen)}
    if seen.facts.question is not None:
        meta |= _oracle(seen)
    return meta


def _oracle(seen: Seen) -> dict[str, Any]:
    """The prompt of an activation oracle: the block, the slots, a question."""
    if seen.facts.layer is None:
        raise CheckpointError(
            f"{seen.directory}: an activation oracle is told the block that its vectors are of: say it as "
            "models.pair.layer"
        )
    slots = "{injection_char}" * seen.slots
    asked = (seen.facts.question or "").replace("{", "{{").replace("}", "}}")
    return {
        "tokens": {"injection_char": ORACLE_MARKER},
        "pair": {"tagged": False},
        "prompt_templates": {"av": f"Layer: {seen.facts.layer}\n{slots} \n{asked}"},
    }


def _width(seen: Seen) -> Any:
    config = read_json(seen.directory / "config.json")
    text = config.get("text_config")
    return (text if isinstance(text, dict) else config).get("hidden_size")
