"""The verbalizer's part of the preflight: blocks, injection, prompt and marker rules."""

from __future__ import annotations

from nla_ray.errors import CheckpointError
from nla_ray.nla.model.files.weights import read_mean
from nla_ray.nla.preflight.parts import Part, Report, Skip, block_indices, compare_blocks, needed
from nla_ray.nla.prompt import (
    check_marker_id,
    check_neighbours,
    encode_av_prompt,
    find_slots,
    identified,
    load_tokenizer,
    slots_of,
)
from nla_ray.nla.sidecar.read import require_injection

_LARGEST_F16 = 65504.0


def check_verbalizer(report: Report, part: Part, target: Part | None) -> None:
    """Blocks, injection, prompt, marker rules; `target` lends its chat template where there is none."""
    report.run("AV", "blocks", lambda: _av_blocks(part))
    report.run("AV", "injection", lambda: _injection(part))
    report.run("AV", "marker: one id", lambda: _marker_id(part))
    prompt = report.load(
        "AV",
        "chat template",
        lambda: _av_prompt(part, target),
        lambda found: f"{found[1]}, {len(found[0])} tokens",
    )
    ids = prompt[0] if prompt else None
    slots = report.load("AV", "marker: once", lambda: _slots(part, ids), _at)
    report.run("AV", "marker: neighbours", lambda: _neighbours(part, ids, slots))
    report.run("AV", "special tokens", lambda: _av_special_tokens(part, ids))


def _av_blocks(part: Part) -> str:
    sidecar, config = needed(part.sidecar, "readable sidecar"), needed(part.config, "usable config.json")
    blocks = config.num_hidden_layers
    if part.weights is not None:
        compare_blocks(part, block_indices(part.weights.names), blocks)
    if sidecar.layer >= blocks:
        raise CheckpointError(
            f"{part.directory}: K = {sidecar.layer} and its own model has {blocks} blocks, 0..{blocks - 1}; "
            "an AV is a copy of the whole target: this looks like a cut one, or K is wrong"
        )
    return f"{blocks} blocks, K = {sidecar.layer} is one of them"


def _injection(part: Part) -> str:
    sidecar, weights = needed(part.sidecar, "readable sidecar"), needed(part.weights, "readable weights")
    config, injection = needed(part.config, "usable config.json"), require_injection(sidecar)
    if injection.block is not None and injection.block >= config.num_hidden_layers:
        raise CheckpointError(
            f"{sidecar.path}: {injection}: its model has blocks 0..{config.num_hidden_layers - 1}"
        )
    if injection.centred:
        read_mean(part.directory, sidecar.d_model)
    if injection.kind == "add_matched":
        return f"{injection}: vectors are added, {injection.scale:g} times as long as the marker's own state"
    scale = injection.scale
    if scale is None:
        return f"{injection}: vectors keep the norm that they have"
    half = any(weights.info(name).dtype == "F16" for name in weights.headers)
    if half and scale > _LARGEST_F16:
        raise CheckpointError(
            f"{sidecar.path}: injection {injection} does not fit the float16 of the weights "
            f"(at most {_LARGEST_F16:g}); use a bfloat16 checkpoint"
        )
    return f"{injection}: vectors are rescaled to L2 norm {scale:g}"


def _marker_id(part: Part) -> str:
    sidecar, tokenizer = needed(part.sidecar, "readable sidecar"), needed(part.tokenizer, "tokenizer")
    marker = needed(sidecar.marker, "marker")
    check_marker_id(tokenizer, marker, sidecar.path)
    return f"{marker.char!r} is token {identified(tokenizer, marker).token_id}"


def _av_prompt(part: Part, target: Part | None) -> tuple[tuple[int, ...], str]:
    sidecar, tokenizer = needed(part.sidecar, "readable sidecar"), needed(part.tokenizer, "tokenizer")
    template, source = None, "its own" if sidecar.facts.chat is not False else "none: plain text"
    if tokenizer.chat_template is None and target is not None:
        template = load_tokenizer(target.directory).chat_template
        source = "the target's"
    ids = encode_av_prompt(tokenizer, sidecar, chat_template=template)[1]
    if part.config is not None and ids and max(ids) >= part.config.vocab_size:
        raise CheckpointError(
            f"{part.directory}: its tokenizer gives id {max(ids)}, its embedding has "
            f"{part.config.vocab_size} rows; the tokenizer belongs to another model"
        )
    return ids, source


def _slots(part: Part, ids: tuple[int, ...] | None) -> tuple[int, ...]:
    sidecar = needed(part.sidecar, "readable sidecar")
    marker = identified(needed(part.tokenizer, "tokenizer"), needed(sidecar.marker, "marker"))
    return find_slots(needed(ids, "rendered prompt"), marker, slots_of(sidecar), sidecar.path)


def _at(slots: tuple[int, ...]) -> str:
    return f"at position {slots[0]}" if len(slots) == 1 else f"{len(slots)} times, at positions {list(slots)}"


def _neighbours(part: Part, ids: tuple[int, ...] | None, slots: tuple[int, ...] | None) -> str:
    sidecar = needed(part.sidecar, "readable sidecar")
    marker = needed(sidecar.marker, "marker")
    check_neighbours(needed(ids, "rendered prompt"), needed(slots, "slot"), marker, sidecar.path)
    if marker.left_id is None or marker.right_id is None:
        raise Skip("not checked: no file of this pair records the tokens beside its marker")
    return f"tokens {marker.left_id} and {marker.right_id} stand beside it"


def _av_special_tokens(part: Part, ids: tuple[int, ...] | None) -> str:
    ids, tokenizer = needed(ids, "rendered prompt"), needed(part.tokenizer, "tokenizer")
    bos = tokenizer.bos_token_id
    if bos is None:
        return "no BOS: the tokenizer has none"
    if ids[:2] == (bos, bos):
        raise CheckpointError(
            f"{part.directory}: the rendered prompt starts with the BOS {bos} twice; its chat template is "
            "not the one that the AV was trained with"
        )
    return f"the prompt starts with the BOS {bos}" if ids[0] == bos else f"the prompt has no BOS ({bos})"
