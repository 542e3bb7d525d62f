"""From a document to the tokens that are read: render, tokenize, choose positions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from nla_ray.config.decode import Positions
from nla_ray.ids import sample_positions
from nla_ray.stages.documents import Document


@dataclass(frozen=True)
class Reading:
    """A document as the target reads it: its token ids, the positions to explain, or why there are none."""

    document: Document
    token_ids: tuple[int, ...] = ()
    positions: tuple[int, ...] = ()
    truncated: bool = False
    problem: str | None = None


class Reader:
    """Turns documents into readings with one target's tokenizer."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, positions: Positions, *, seed: int, max_tokens: int
    ) -> None:
        self.tokenizer = tokenizer
        self.special_ids = special_ids(tokenizer)
        self._positions = positions
        self._seed = seed
        self._max_tokens = max_tokens

    def read(self, document: Document) -> Reading:
        """Token ids and positions of one document; never raises for the document's own faults."""
        if document.problem is not None:
            return Reading(document, problem=document.problem)
        try:
            ids = tokenize(self.tokenizer, document)
        except TemplateError as error:
            return Reading(document, problem=f"the target's chat template refuses the messages: {error}")
        kept = tuple(ids[: self._max_tokens])
        chosen = choose(self._positions, self._seed, document.doc_id, kept, self.special_ids)
        problem = None if chosen else f"no position to read in {len(kept)} tokens; see positions.min_position"
        return Reading(document, kept, tuple(chosen), len(kept) < len(ids), problem)


def tokenize(tokenizer: PreTrainedTokenizerBase, document: Document) -> list[int]:
    """Ids of a document: text as it stands; a chat by its template, which holds its special tokens."""
    if document.messages is None:
        return list(tokenizer.encode(str(document.text), verbose=False))
    # Rendered to text first: `tokenize=True` splits some markers into bytes.
    text = tokenizer.apply_chat_template([dict(message) for message in document.messages], tokenize=False)
    return list(tokenizer.encode(str(text), add_special_tokens=False, verbose=False))


def choose(
    how: Positions, seed: int, doc_id: str, token_ids: Sequence[int], special: Collection[int]
) -> list[int]:
    """Positions to read, ascending; not the first ones, and special tokens only if asked for."""
    candidates = [
        position
        for position in range(how.min_position, len(token_ids))
        if how.special or token_ids[position] not in special
    ]
    match how.choose:
        case "random":
            return sample_positions(seed, doc_id, candidates, how.n)
        case "last":
            return candidates[-how.n :]
        case "every":
            return candidates[:: how.n]
        case "all":
            return candidates


def special_ids(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Ids that the tokenizer declares special, among its own and among the added ones."""
    added = tokenizer.added_tokens_decoder.items()
    return frozenset(tokenizer.all_special_ids) | {number for number, token in added if token.special}
