"""Prompts of the two models, and the marker rules that tie a sidecar to the live tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from nla_ray.errors import CheckpointError
from nla_ray.nla.sidecar.dialects.seen import VOCABULARIES
from nla_ray.nla.sidecar.read import AR_SLOT, AV_SLOT, Marker, Sidecar, split_template


@dataclass(frozen=True)
class AvPrompt:
    """The verbalizer's prompt: its text, its token ids, and the indices of its markers in them."""

    text: str
    ids: tuple[int, ...]
    slots: tuple[int, ...]


def load_tokenizer(
    directory: Path, *, trust_remote_code: bool = False, template_from: Path | None = None
) -> PreTrainedTokenizerBase:
    """The tokenizer of a checkpoint directory; nothing is fetched.

    A released AV may lack a chat template: then the one in `template_from` (the target's directory) is used;
    code in there is never run, whatever the checkpoint itself is trusted with.
    """
    tokenizer = _from_pretrained(directory, trust_remote_code)
    if tokenizer.chat_template is None and template_from is not None:
        tokenizer.chat_template = load_tokenizer(template_from).chat_template
    return tokenizer


def _from_pretrained(directory: Path, trust_remote_code: bool) -> PreTrainedTokenizerBase:
    # Without any of these files transformers makes an empty tokenizer of the model's kind and says nothing.
    if not trust_remote_code and not any((Path(directory) / name).exists() for name in VOCABULARIES):
        raise CheckpointError(f"{directory}: no tokenizer; one of {', '.join(VOCABULARIES)} was expected")
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            str(directory), trust_remote_code=trust_remote_code, local_files_only=True
        )
    # The tokenizers library raises bare Exception for a file that it cannot parse.
    except Exception as error:
        raise CheckpointError(
            f"{directory}: its tokenizer cannot be loaded: {type(error).__name__}: {str(error)[:200]}"
        ) from error
    return tokenizer


def render_av_prompt(
    tokenizer: PreTrainedTokenizerBase, sidecar: Sidecar, *, chat_template: str | None = None
) -> AvPrompt:
    """The prompt that the AV was trained with, checked against the live tokenizer.

    The chat template is rendered to text and then encoded without adding special tokens (the template holds
    its own); plain text, of a pair that has no chat, with them.
    `chat_template` takes the place of the tokenizer's.
    Raises CheckpointError naming the marker rule that failed: one id, once a slot, recorded neighbours.
    """
    marker = _marker_of(sidecar)
    check_marker_id(tokenizer, marker, sidecar.path)
    text, ids = encode_av_prompt(tokenizer, sidecar, chat_template=chat_template)
    marker = identified(tokenizer, marker)
    slots = find_slots(ids, marker, slots_of(sidecar), sidecar.path)
    check_neighbours(ids, slots, marker, sidecar.path)
    return AvPrompt(text, ids, slots)


def encode_av_prompt(
    tokenizer: PreTrainedTokenizerBase, sidecar: Sidecar, *, chat_template: str | None = None
) -> tuple[str, tuple[int, ...]]:
    """The AV's prompt as text and as token ids, before any marker rule."""
    marker, template, facts = _marker_of(sidecar), sidecar.av_template, sidecar.facts
    if template is None:
        raise CheckpointError(f"{sidecar.path}: prompt_templates.av: found nothing; this is not an AV")
    asked = marker.char.join(split_template(template, AV_SLOT, slots_of(sidecar)))
    begun = facts.prefill or ""
    if facts.chat is False:
        special = facts.special_tokens is not False
        return asked + begun, tuple(tokenizer.encode(asked + begun, add_special_tokens=special))
    text = _as_chat(tokenizer, sidecar, asked, chat_template) + begun
    return text, tuple(tokenizer.encode(text, add_special_tokens=False))


def _as_chat(
    tokenizer: PreTrainedTokenizerBase, sidecar: Sidecar, asked: str, chat_template: str | None
) -> str:
    """The user's turn and the beginning of the answer's, rendered with the pair's options."""
    options: dict[str, Any] = dict(sidecar.facts.template_options or {})
    template = chat_template if chat_template is not None else tokenizer.chat_template
    if template is None:
        raise CheckpointError(
            f"{sidecar.path.parent}: no chat template; the base model's is needed: give the target too"
        )
    if unknown := [name for name in options if name not in str(template)]:
        raise CheckpointError(
            f"{sidecar.path.parent}: template_options.{unknown[0]}: its chat template takes no notice of it; "
            "the template is another model's, or the option is: leave it out"
        )
    message = [{"role": "user", "content": asked}]
    try:
        text = tokenizer.apply_chat_template(
            message, chat_template=chat_template, tokenize=False, add_generation_prompt=True, **options
        )
    # A template is a program from the checkpoint: it can fail in any way.
    except Exception as error:
        raise CheckpointError(
            f"{sidecar.path.parent}: its chat template fails: {type(error).__name__}: {str(error)[:200]}"
        ) from error
    return str(text)


def check_marker_id(tokenizer: PreTrainedTokenizerBase, marker: Marker, source: object) -> None:
    """Marker rule 1: one id, the recorded one (where one is recorded), and not the unknown token."""
    ids = tokenizer.encode(marker.char, add_special_tokens=False)
    # `unk_token_id` recurses without end where the unknown token is not in the vocabulary.
    unknown_id = tokenizer.get_vocab().get(tokenizer.unk_token) if tokenizer.unk_token else None
    if len(ids) == 1 and marker.token_id in (None, ids[0]) and ids[0] != unknown_id:
        return
    unknown = ", the unknown token" if ids == [unknown_id] else ""
    raise CheckpointError(
        f"{source}: marker rule 1 (one id): the tokenizer gives {list(ids)}{unknown} for {marker.char!r}, "
        f"{_recorded(marker.token_id)}; use the tokenizer that the AV was trained with"
    )


def _recorded(token_id: int | None) -> str:
    return "one token was expected" if token_id is None else f"the sidecar records {token_id}"


def identified(tokenizer: PreTrainedTokenizerBase, marker: Marker) -> Marker:
    """The marker with its id, by the tokenizer where no file records it (after marker rule 1)."""
    if marker.token_id is not None:
        return marker
    return replace(marker, token_id=tokenizer.encode(marker.char, add_special_tokens=False)[0])


def slots_of(sidecar: Sidecar) -> int:
    """How many vectors one prompt takes."""
    return 1 if sidecar.injection is None else sidecar.injection.slots


def find_slots(ids: Sequence[int], marker: Marker, slots: int, source: object) -> tuple[int, ...]:
    """Marker rule 2: the marker stands in the prompt exactly `slots` times, not at an edge; its indices."""
    places = tuple(index for index, token in enumerate(ids) if token == marker.token_id)
    if len(places) == slots and places[0] > 0 and places[-1] < len(ids) - 1:
        return places
    rule, inner = ("once", "one inner position") if slots == 1 else (f"{slots} times", f"{slots} inner ones")
    raise CheckpointError(
        f"{source}: marker rule 2 (exactly {rule}): {marker.char!r} ({marker.token_id}) stands at positions "
        f"{list(places)} of the prompt's {len(ids)} tokens, {inner} was expected; the chat template or "
        "the tokenizer is not the one that the AV was trained with"
    )


def check_neighbours(ids: Sequence[int], slots: Sequence[int], marker: Marker, source: object) -> None:
    """Marker rule 3: the tokens left of the first marker and right of the last are the recorded ones.

    Where none are recorded, there is nothing to hold them against.
    """
    found, recorded = (ids[slots[0] - 1], ids[slots[-1] + 1]), (marker.left_id, marker.right_id)
    if any(known not in (None, there) for known, there in zip(recorded, found, strict=True)):
        raise CheckpointError(
            f"{source}: marker rule 3 (neighbours): the tokenizer gives {found} around {marker.char!r}, "
            f"the sidecar records {recorded}; use the tokenizer that the AV was trained with"
        )


def ar_template_parts(sidecar: Sidecar) -> tuple[str, str]:
    """The AR's prompt before and after the explanation."""
    if sidecar.ar_template is None:
        raise CheckpointError(f"{sidecar.path}: prompt_templates.ar: found nothing; this is not an AR")
    before, after = split_template(sidecar.ar_template, AR_SLOT)
    return before, after


def ar_prompt_ids(
    tokenizer: PreTrainedTokenizerBase, sidecar: Sidecar, texts: Sequence[str]
) -> list[list[int]]:
    """The AR's prompts as token ids: raw text with the special tokens that the tokenizer adds (a BOS)."""
    if not texts:
        return []
    before, after = ar_template_parts(sidecar)
    encoded = tokenizer([before + text + after for text in texts], add_special_tokens=True)
    return [list(ids) for ids in encoded["input_ids"]]


def check_ar_suffix(ids: Sequence[int], sidecar: Sidecar) -> None:
    """The AR is read at its prompt's last token: the prompt must end with the recorded ids."""
    suffix = sidecar.ar_suffix_ids
    if suffix is not None and tuple(ids[-len(suffix) :]) != suffix:
        raise CheckpointError(
            f"{sidecar.path}: tokens.critic_suffix_ids: the prompt ends with {list(ids[-len(suffix) :])}, "
            f"the sidecar records {list(suffix)}; use the tokenizer that the AR was trained with"
        )


def _marker_of(sidecar: Sidecar) -> Marker:
    if sidecar.marker is None:
        raise CheckpointError(f"{sidecar.path}: tokens.injection_char: found nothing; this is not an AV")
    return sidecar.marker
