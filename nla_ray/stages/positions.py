"""From a document to the tokens that are read: which may be chosen, and how many of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from nla_ray.config.corpus import Positions
from nla_ray.ids import sample_positions
from nla_ray.stages.documents import Document
from nla_ray.stages.matching import Pattern
from nla_ray.stages.tokens import Tokens, tokenize, touching

UNKNOWN = -1
"""The position of a vector that came without one."""


@dataclass(frozen=True)
class Reading:
    """A document as the target reads it: its token ids, the positions to explain, or why there are none.

    `roles` as in `Tokens`; no token ids where only a vector is given.
    """

    document: Document
    token_ids: tuple[int, ...] = ()
    positions: tuple[int, ...] = ()
    truncated: bool = False
    problem: str | None = None
    roles: tuple[str | None, ...] | None = None


class Reader:
    """Turns documents into readings with one target's tokenizer.

    Raises ConfigError for an expression that cannot be used.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, positions: Positions, *, seed: int, max_tokens: int
    ) -> None:
        self.tokenizer = tokenizer
        self.special_ids = special_ids(tokenizer)
        self._positions = positions
        self._seed = seed
        self._max_tokens = max_tokens
        self._pattern = None
        if positions.regex is not None:
            self._pattern = Pattern(positions.regex, option="positions.regex")

    def read(self, document: Document) -> Reading:
        """Token ids and positions of one document; never raises for the document's own faults."""
        if document.problem is not None:
            return Reading(document, problem=document.problem)
        try:
            tokens = tokenize(self.tokenizer, document)
        except TemplateError as error:
            return Reading(document, problem=f"the target's chat template refuses the messages: {error}")
        kept = tokens.ids[: self._max_tokens]
        chosen = self._choose(document, tokens)
        roles = None if tokens.roles is None else tokens.roles[: len(kept)]
        cut = len(kept) < len(tokens.ids)
        if isinstance(chosen, str):
            return Reading(document, kept, truncated=cut, problem=chosen, roles=roles)
        return Reading(document, kept, tuple(chosen), cut, roles=roles)

    def _choose(self, document: Document, tokens: Tokens) -> list[int] | str:
        """The positions to read, ascending, or why there are none."""
        how, length = self._positions, min(len(tokens.ids), self._max_tokens)
        if how.choose == "column":
            listed = document.listed or ()
            beyond = [position for position in listed if position >= len(tokens.ids)]
            if beyond:
                return f"{how.column!r} lists position {beyond[0]}; the document has {len(tokens.ids)} tokens"
            found = [position for position in listed if position < length]
        else:
            problem = self._cannot_choose(document, tokens)
            if problem is not None:
                return problem
            found = choose(how, self._seed, document.doc_id, self._candidates(tokens, length))
        if how.limit is not None:
            found = sample_positions(self._seed, document.doc_id, found, how.limit)
        return found or f"no position to read in {length} tokens; see positions.{self._narrowest()}"

    def _cannot_choose(self, document: Document, tokens: Tokens) -> str | None:
        how = self._positions
        if self._pattern is not None and tokens.spans is None:
            return "positions.regex needs a tokenizer that tells where tokens stand in the text"
        if document.messages is not None and tokens.roles is None and (how.roles or not how.template):
            return (
                "the chat template changes the messages, so that their tokens cannot be told from its own; "
                "allow both with positions.template"
            )
        return None

    def _candidates(self, tokens: Tokens, length: int) -> list[int]:
        """Positions that may be chosen: not the first ones, no special or template tokens unless allowed."""
        how, roles = self._positions, tokens.roles
        found: Sequence[int] = range(length)
        if self._pattern is not None and tokens.spans is not None:
            found = touching(tokens.spans[:length], self._pattern.spans(tokens.text))
        return [
            position
            for position in found
            if position >= how.min_position
            and (how.special or tokens.ids[position] not in self.special_ids)
            and (
                how.template
                or roles is None
                or roles[position] is not None
                or self._is_special(tokens, position)
            )
            and (not how.roles or (roles is not None and roles[position] in how.roles))
        ]

    def _is_special(self, tokens: Tokens, position: int) -> bool:
        return tokens.ids[position] in self.special_ids

    def _narrowest(self) -> str:
        how = self._positions
        given = {"column": how.column, "regex": how.regex, "roles": how.roles}
        return next((name for name, value in given.items() if value), "min_position")


class VectorReader:
    """Readings of vectors that came with the corpus; the target's tokenizer, if given, finds their tokens."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase | None, *, d_model: int, layer: int) -> None:
        self.tokenizer = tokenizer
        self.special_ids = frozenset() if tokenizer is None else special_ids(tokenizer)
        self._d_model = d_model
        self._layer = layer

    def read(self, document: Document) -> Reading:
        """The position of a vector, with the text's tokens where there are as many as were read for it."""
        problem = document.problem or self._misfit(document)
        if problem is not None:
            return Reading(document, problem=problem)
        if document.position is None:
            return Reading(document, positions=(UNKNOWN,))
        ids: tuple[int, ...] = ()
        if self.tokenizer is not None and document.text is not None:
            ids = tokenize(self.tokenizer, document).ids
        return Reading(document, ids if len(ids) == document.position + 1 else (), (document.position,))

    def _misfit(self, document: Document) -> str | None:
        length = len(document.vector or b"") // 4
        if length != self._d_model:
            return f"a vector of {length} values, the verbalizer takes {self._d_model}"
        if document.layer not in (None, self._layer):
            return f"a vector of layer {document.layer}, the verbalizer reads layer {self._layer}"
        return None


def choose(how: Positions, seed: int, doc_id: str, candidates: Sequence[int]) -> list[int]:
    """Some of the candidate positions, which are ascending."""
    match how.choose:
        case "random":
            return sample_positions(seed, doc_id, candidates, how.n)
        case "last":
            return list(candidates[-how.n :])
        case "every":
            return list(candidates[:: how.n])
        case _:
            return list(candidates)


def special_ids(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Ids that the tokenizer declares special, among its own and among the added ones."""
    added = tokenizer.added_tokens_decoder.items()
    return frozenset(tokenizer.all_special_ids) | {number for number, token in added if token.special}
