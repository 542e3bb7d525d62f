"""A new verbalizer's prompt without the system turn that a chat template puts before a user's by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from transformers import PreTrainedTokenizerBase

from nla_ray.config.pairs.facts import PairFacts
from nla_ray.errors import CheckpointError
from nla_ray.nla.sidecar.read import AV_SLOT, Sidecar, split_template

_SLOT = "\N{OBJECT REPLACEMENT CHARACTER}"


def without_system_turn(tokenizer: PreTrainedTokenizerBase, sidecar: Sidecar) -> Sidecar:
    """The sidecar with the prompt as plain text: what the template renders, less all before the user's turn.

    A BOS that the text begins with stays. Raises CheckpointError where the template does not show where a
    turn begins.
    """
    if sidecar.av_template is None or tokenizer.chat_template is None:
        raise CheckpointError("init.system_turn: false needs a chat template; leave it out")
    asked = _SLOT.join(split_template(sidecar.av_template, AV_SLOT))
    one, two = (_rendered(tokenizer, [asked] * turns) for turns in (1, 2))
    turn = two[len(one) :]
    if not turn or one + turn != two or not one.endswith(turn) or turn.count(_SLOT) != 1:
        raise CheckpointError(
            "init.system_turn: false: the target's chat template renders two turns otherwise than one after "
            "the other, so that what stands before the first is not known; leave it out"
        )
    bos = tokenizer.bos_token or ""
    kept = bos if bos and one.startswith(bos) and not turn.startswith(bos) else ""
    answer = _rendered(tokenizer, [asked], add_generation_prompt=True).removeprefix(one)
    text = (kept + turn + answer).replace("{", "{{").replace("}", "}}").replace(_SLOT, f"{{{AV_SLOT}}}")
    return replace(sidecar, av_template=text, facts=PairFacts(chat=False, special_tokens=False))


def _rendered(tokenizer: PreTrainedTokenizerBase, asked: list[str], **options: Any) -> str:
    messages = [{"role": "user", "content": one} for one in asked]
    try:
        return str(tokenizer.apply_chat_template(messages, tokenize=False, **options))
    # A template is a program from the checkpoint: it can fail in any way.
    except Exception as error:
        raise CheckpointError(
            f"init.system_turn: false: the target's chat template fails on {len(asked)} turns of a user: "
            f"{type(error).__name__}: {str(error)[:200]}; leave it out"
        ) from error
