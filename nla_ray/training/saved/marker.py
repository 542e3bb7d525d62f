"""The marker of a new verbalizer: a rare character that is one token of its own, found in the vocabulary."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import replace

from transformers import PreTrainedTokenizerBase

from nla_ray.errors import CheckpointError
from nla_ray.nla.prompt import encode_av_prompt
from nla_ray.nla.sidecar.read import Marker, Sidecar

USUAL = ("㈎", "㈜", "㎡", "㊗", "㈀", "㉠", "⍰", "☍")
"""Those of published pairs; the first that serves is taken, before the vocabulary is searched."""

_ENCLOSED = range(0x3200, 0x3400)
_LATIN = range(0x250)
_KINDS = {"Lo": 1, "So": 2, "Sm": 3, "Sk": 3, "Sc": 3, "Po": 4, "Lu": 5, "Ll": 5}
"""Letters that have no case and symbols before all else; the least likely in text first."""


def choose_marker(tokenizer: PreTrainedTokenizerBase, sidecar: Sidecar, wanted: str | None) -> Marker:
    """The marker, with the tokens beside it in the prompt of a sidecar that has none yet.

    It is one token that is decoded to itself and stands once inside the prompt, merged with nothing. Raises
    CheckpointError where `wanted` is not so, or nothing is.
    """
    for char in (*USUAL, *_of_vocabulary(tokenizer)) if wanted is None else (wanted,):
        token_id = _one_token(tokenizer, char)
        if token_id is None:
            continue
        _, ids = encode_av_prompt(tokenizer, replace(sidecar, marker=Marker(char, token_id, None, None)))
        places = [at for at, found in enumerate(ids) if found == token_id]
        if len(places) == 1 and 0 < places[0] < len(ids) - 1:
            return Marker(char, token_id, ids[places[0] - 1], ids[places[0] + 1])
        if wanted is not None:
            raise CheckpointError(
                f"init.marker: {char!r} stands {len(places)} times inside the verbalizer's prompt; "
                "choose another one"
            )
    if wanted is None:
        raise CheckpointError(
            "init.marker: no rare character is one token of this tokenizer that stays alone in the prompt; "
            "name a token of yours that hardly occurs in text"
        )
    raise CheckpointError(
        f"init.marker: {wanted!r} is not one token of this tokenizer; leave it out to have one found"
    )


def _one_token(tokenizer: PreTrainedTokenizerBase, char: str) -> int | None:
    """The id of a text that is one token, no special or unknown one, and is decoded to itself."""
    ids = tokenizer.encode(char, add_special_tokens=False)
    added = tokenizer.added_tokens_decoder.items()
    special = {*tokenizer.all_special_ids, *(one for one, token in added if token.special)}
    return int(ids[0]) if len(ids) == 1 and ids[0] not in special and tokenizer.decode(ids) == char else None


def _of_vocabulary(tokenizer: PreTrainedTokenizerBase) -> Iterator[str]:
    """Characters that a token of the vocabulary is, the best first: of one kind those with the highest id.

    A tokenizer that learns by merging numbers its tokens by how often they were found.
    """
    found: dict[str, tuple[int, int]] = {}
    for token_id in tokenizer.get_vocab().values():
        text = str(tokenizer.decode([token_id]))
        if len(text) == 1 and (rank := _rank(text)) is not None:
            found[text] = (rank, -token_id)
    yield from sorted(found, key=found.__getitem__)


def _rank(char: str) -> int | None:
    """How likely a character is in text, 0 the least; None for what cannot serve."""
    if ord(char) in _ENCLOSED:
        return 0
    kind = _KINDS.get(unicodedata.category(char))
    if kind is None or char == "\N{REPLACEMENT CHARACTER}" or char.isascii():
        return None
    return kind + (10 if ord(char) in _LATIN else 0)
