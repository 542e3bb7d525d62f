"""The reconstructor's part of the preflight: depth, tensors, value head and prompt."""

from __future__ import annotations

from nla_ray.errors import CheckpointError
from nla_ray.nla.model.weights import SafetensorsDir, open_value_head
from nla_ray.nla.preflight.parts import Part, Report, Skip, block_indices, compare_blocks, final_norms, needed
from nla_ray.nla.prompt import ar_prompt_ids, ar_template_parts, check_ar_suffix
from nla_ray.nla.sidecar.read import check_ar_depth

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
    blocks = config.num_hidden_layers
    check_ar_depth(sidecar, blocks)
    if part.weights is not None:
        found = block_indices(part.weights.names)
        compare_blocks(part, found & set(range(blocks)) if part.adapted else found, blocks)
    return f"K = {sidecar.layer}, {blocks} blocks"


def _ar_norm(part: Part) -> str:
    norms = final_norms(needed(part.weights, "readable weights").names)
    if norms and part.adapted:
        return "its base's is left out"
    if norms:
        raise CheckpointError(
            f"{part.directory}: tensor {norms[0]} is there; the AR reads the output of block K before "
            "any norm: export it without the final norm"
        )
    return "the last block's output goes to the head as it is"


def _ar_lm_head(part: Part) -> str:
    weights, config = needed(part.weights, "readable weights"), needed(part.config, "usable config.json")
    heads = [name for name in weights.names if name.endswith("lm_head.weight")]
    if not heads or part.adapted:
        return "its base's is left out" if heads else "none"
    if heads[0] not in weights.headers:
        raise Skip(f"not checked: {heads[0]} is in the index, its shape is not on this machine")
    shape, d_model = weights.info(heads[0]).shape, config.hidden_size
    if shape != (d_model, d_model):
        raise CheckpointError(
            f"{part.directory}: {heads[0]} has shape {list(shape)}: this is a whole language model; use the "
            "published AR, which has a value head in its place"
        )
    return f"{heads[0]} of shape {list(shape)} (Megatron export) is ignored"


def _value_head(part: Part) -> SafetensorsDir:
    return open_value_head(part.directory, needed(part.config, "usable config.json").hidden_size)


def _describe_head(head: SafetensorsDir) -> str:
    info = head.info("weight")
    return f"{list(info.shape)} {info.dtype}, {'with' if 'bias' in head.names else 'without'} bias"


def _finite(head: SafetensorsDir | None) -> str:
    head = needed(head, "usable value head")
    for name in head.names:
        head.check_finite(name)
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
