"""The reconstructor's part of the preflight: depth, tensors, value head and prompt."""

from __future__ import annotations

from nla_ray.errors import CheckpointError
from nla_ray.nla.model.files.weights import SafetensorsDir
from nla_ray.nla.model.heads.head import ValueHead, open_value_head
from nla_ray.nla.model.heads.placeholders import check_lm_heads, check_norms, final_norms, lm_heads
from nla_ray.nla.preflight.parts import Part, Report, Skip, block_indices, compare_blocks, needed
from nla_ray.nla.prompt import ar_prompt_ids, ar_template_parts, check_ar_suffix
from nla_ray.nla.reconstruction.reconstructor import check_depth

_PROBE = "A short text about the weather."


def check_reconstructor(report: Report, part: Part, av: Part) -> None:
    """Depth, tensors, value head and prompt; `av` tells whether the family's tokenizer adds a BOS."""
    report.run("AR", "depth K+1", lambda: _ar_depth(part))
    report.run("AR", "no final norm", lambda: _ar_norm(part))
    report.run("AR", "no lm_head", lambda: _ar_lm_head(part))
    head = report.load("AR", "value head", lambda: _value_head(part), _describe_head)
    report.run("AR", "value head finite", lambda: _finite(head))
    report.run("AR", "prompt suffix", lambda: _ar_suffix(part))
    report.run("AR", "special tokens", lambda: _ar_special_tokens(part, av))


def _ar_depth(part: Part) -> str:
    sidecar, config = needed(part.sidecar, "readable sidecar"), needed(part.config, "usable config.json")
    blocks, whole = config.num_hidden_layers, part.adapted
    check_depth(sidecar, config, whole=whole)
    if part.weights is not None:
        found = block_indices(part.weights.names)
        # A family that only its whole configuration says need not have the blocks above K.
        compare_blocks(part, found, min(blocks, max(len(found), sidecar.ar_blocks)))
    cut = f" of the {blocks} of what the adapter sits on" if whole else ""
    return f"K = {sidecar.layer}, {sidecar.ar_blocks} blocks{cut}"


def _ar_norm(part: Part) -> str:
    sidecar, weights = needed(part.sidecar, "readable sidecar"), needed(part.weights, "readable weights")
    if sidecar.facts.ar_norm:
        return "it stays, as its files say"
    if part.adapted:
        return "that of what the adapter sits on is left out"
    _skip_absent(weights, final_norms(weights.names))
    found = check_norms(weights, sidecar.d_model)
    if found:
        return f"{found[0]} holds ones (Megatron export) and is ignored"
    return "the last block's output goes to the head as it is"


def _ar_lm_head(part: Part) -> str:
    weights, config = needed(part.weights, "readable weights"), needed(part.config, "usable config.json")
    if part.adapted:
        return "that of what the adapter sits on is left out"
    _skip_absent(weights, lm_heads(weights.names))
    found = check_lm_heads(weights, config.hidden_size)
    return f"{found[0]} is the identity (Megatron export) and is ignored" if found else "none"


def _skip_absent(weights: SafetensorsDir, names: list[str]) -> None:
    absent = [name for name in names if name not in weights.headers]
    if absent:
        raise Skip(f"not checked: {absent[0]} is in the index, its values are not on this machine")


def _value_head(part: Part) -> ValueHead:
    sidecar = needed(part.sidecar, "readable sidecar")
    return open_value_head(
        part.directory, needed(part.config, "usable config.json").hidden_size, sidecar.layer
    )


def _describe_head(head: ValueHead) -> str:
    return f"{list(head.shape)} {head.dtype}, {'without' if head.bias_name is None else 'with'} bias"


def _finite(head: ValueHead | None) -> str:
    needed(head, "usable value head").check_finite()
    return "every row"


def _ar_suffix(part: Part) -> str:
    sidecar, tokenizer = needed(part.sidecar, "readable sidecar"), needed(part.tokenizer, "tokenizer")
    if sidecar.ar_suffix_ids is None:
        raise Skip("not checked: the sidecar records no critic_suffix_ids")
    check_ar_suffix(ar_prompt_ids(tokenizer, sidecar, [_PROBE])[0], sidecar)
    return f"the prompt ends with the recorded {list(sidecar.ar_suffix_ids)}"


def _ar_special_tokens(part: Part, av: Part) -> str:
    sidecar, tokenizer = needed(part.sidecar, "readable sidecar"), needed(part.tokenizer, "tokenizer")
    text = _PROBE.join(ar_template_parts(sidecar))
    ids, plain = (
        ar_prompt_ids(tokenizer, sidecar, [_PROBE])[0],
        tokenizer.encode(text, add_special_tokens=False),
    )
    if ids[-len(plain) :] != plain:
        raise CheckpointError(
            f"{part.directory}: its tokenizer adds token {ids[-1]} after the prompt, where the AR is read; "
            "use the tokenizer that the AR was trained with"
        )
    added, bos = ids[: -len(plain)], tokenizer.bos_token_id
    if added:
        return f"the prompt starts with {'the BOS ' if added == [bos] else ''}{', '.join(map(str, added))}"
    family = part.config.model_type if part.config is not None else ""
    if family.startswith("gemma") or _adds_bos(av):
        raise CheckpointError(
            f"{part.directory}: its tokenizer adds no BOS to the prompt, and this family or the AV's "
            "tokenizer does; fidelity falls without it: use the tokenizer that the AR was trained with"
        )
    return f"no BOS: the tokenizer {'has none' if bos is None else f'does not add its own ({bos})'}"


def _adds_bos(part: Part) -> bool:
    tokenizer = part.tokenizer
    return tokenizer is not None and tokenizer.encode("a")[0] == tokenizer.bos_token_id
