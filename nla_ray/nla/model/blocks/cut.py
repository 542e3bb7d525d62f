"""Proof that a stack cut at block K gives what block K gives in the whole model, padded or alone."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from transformers import AutoModel, PreTrainedConfig

from nla_ray.errors import CheckpointError
from nla_ray.nla.model.blocks.stack import Stack, find_stack, hidden

_LENGTHS = (9, 5)
_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.1, torch.float16: 0.02}
"""Of the norm; a block too many or a look ahead changes a third and more."""

FAULTS = (AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""How a family of models fails on what it was not made for."""

_WORDS = (int, float, str, bool, type(None))


def cut_config(config: PreTrainedConfig, layers: int, source: object) -> PreTrainedConfig:
    """A copy of the configuration with `layers` blocks; per-layer lists such as `layer_types` are cut too.

    Whether a model of it is the first part of the whole one, `cuts_alike` tells.
    """
    blocks = config.num_hidden_layers
    if not 1 <= layers <= blocks:
        raise CheckpointError(
            f"{source}: {layers} blocks asked for, the model has {blocks}; allowed 1..{blocks}"
        )
    config = copy.deepcopy(config)
    for name, value in list(vars(config).items()):
        if isinstance(value, list) and len(value) == blocks and name.startswith(("layer", "no_rope_layers")):
            setattr(config, name, value[:layers])
    config.num_hidden_layers = layers
    return config


def skeleton(config: PreTrainedConfig, *, trust_remote_code: bool = False) -> Any:
    """The bare decoder of a configuration, without any weights."""
    with torch.device("meta"):
        return AutoModel.from_config(config, trust_remote_code=trust_remote_code)  # type: ignore[no-untyped-call]


def cuts_alike(whole: PreTrainedConfig, cut: PreTrainedConfig) -> bool:
    """Whether a model of the `cut` configuration is the lower part of one of the `whole`, by its structure.

    Compares names and shapes of all tensors, and of every module of the blocks the class and its numbers
    and words (window, kind of layer, rotary or not). Some families decide these by a block's distance
    from the end: Gemma 4 makes its last block another kind and lets the last ones share keys.
    """
    try:
        full, part = find_stack(skeleton(whole)), find_stack(skeleton(cut))
    # A family refuses in its own ways to be cut: its whole is loaded then.
    except (*FAULTS, CheckpointError):
        return False
    layers = len(part.blocks)
    kinds = [list(getattr(one, "layer_types", None) or [])[:layers] for one in (whole, cut)]
    shapes = {name: one.shape for name, one in full.body.state_dict().items()}
    return (
        layers == cut.num_hidden_layers
        and kinds[0] == kinds[1]
        and all(shapes.get(name) == one.shape for name, one in part.body.state_dict().items())
        and all(_words(one) == _words(other) for one, other in zip(part.blocks, full.blocks, strict=False))
    )


def _words(block: nn.Module) -> list[tuple[str, type, dict[str, Any]]]:
    return [
        (name, type(module), {key: value for key, value in vars(module).items() if isinstance(value, _WORDS)})
        for name, module in block.named_modules()
    ]


def block_output(stack: Stack, layer: int, source: object) -> torch.Tensor:
    """What block `layer` gives for a short input, [tokens, d], while the stack is whole.

    Raises CheckpointError where it is not `hidden_states[layer + 1]`, but for the last block's, which
    transformers gives behind the final norm.
    """
    hook_TD, states_TD, _ = _run(stack, layer, source)
    if layer + 1 < len(stack.blocks):
        _refuse_apart(hook_TD, states_TD, f"hidden_states[{layer + 1}] is not what block {layer} gives",
                      stack, source)  # fmt: skip
    return hook_TD


def check_cut(stack: Stack, wanted_TD: torch.Tensor | None, source: object) -> None:
    """Refuse a stack, cut and without its norm, whose output is not what its last block gives.

    `wanted_TD` is `block_output` of the whole, where that was loaded. Two inputs of different lengths run
    together padded on the right, then one of them alone: what follows must not change what came before.
    Raises CheckpointError.
    """
    layer = len(stack.blocks) - 1
    hook_TD, states_TD, output_TD = _run(stack, layer, source)
    what = f"cut behind block {layer}, it does not give what this block gives"
    for other_TD in (hook_TD, states_TD, *(() if wanted_TD is None else (wanted_TD,))):
        _refuse_apart(output_TD, other_TD, what, stack, source)
    alone_TD = _run(stack, layer, source, rows=1)[2]
    _refuse_apart(
        output_TD[: len(alone_TD)], alone_TD, "tokens to the right change those to the left", stack, source
    )


@torch.inference_mode()
def _run(
    stack: Stack, layer: int, source: object, rows: int = len(_LENGTHS)
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Hook of block `layer`, `hidden_states[layer + 1]` and the body's output: [tokens, d] each.

    The tokens of the shorter row first, whose padding is left out, then those of the longer row if it runs.
    """
    weight = next(stack.embedding.parameters())
    ids_BT = torch.arange(1, 1 + max(_LENGTHS)).repeat(len(_LENGTHS), 1) * 7 % stack.body.config.vocab_size
    lengths = sorted(_LENGTHS)[:rows]
    ids_BT = ids_BT[:rows, : lengths[-1]].clone()
    ids_BT[0, lengths[0] :] = 0
    seen: list[torch.Tensor] = []
    hook = stack.blocks[layer].register_forward_hook(lambda _, __, output: seen.append(hidden(output)))
    try:
        ran = stack.body(input_ids=ids_BT.to(weight.device), use_cache=False, output_hidden_states=True)
    except torch.OutOfMemoryError:
        raise
    except FAULTS as error:
        raise CheckpointError(
            f"{source}: {stack.body.config.model_type}: cannot be run on a short input: "
            f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        ) from error
    finally:
        hook.remove()
    read = (seen[0], ran.hidden_states[layer + 1], ran.last_hidden_state)
    return tuple(  # type: ignore[return-value]
        torch.cat([one_BTD[row, :length] for row, length in enumerate(lengths)]).float() for one_BTD in read
    )


def tolerance(dtype: torch.dtype) -> float:
    """How far two runs of one model in this type may be apart, as a share of the norm."""
    return _TOLERANCE.get(dtype, 0.1)


def apart(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """The norm of the difference as a share of the wanted norm; NaN where either holds NaN."""
    return float((found - wanted).norm() / wanted.norm())


def logits_apart(found_TV: torch.Tensor, wanted_TV: torch.Tensor) -> float:
    """The same of logits, once what all tokens have in common is taken off; NaN for damaged weights."""
    one, other = (logits - logits.mean(dim=-1, keepdim=True) for logits in (found_TV, wanted_TV))
    return apart(one, other)


def _refuse_apart(
    found_TD: torch.Tensor, wanted_TD: torch.Tensor, what: str, stack: Stack, source: object
) -> None:
    """NaN is let pass: who reads the vectors says what damaged weights are."""
    share = apart(found_TD, wanted_TD)
    if share > tolerance(next(stack.embedding.parameters()).dtype):
        raise CheckpointError(
            f"{source}: {stack.body.config.model_type}: {what} (they differ by {share:.2g} of the norm); "
            "this architecture cannot be read as a stack of decoder blocks: use another model"
        )
