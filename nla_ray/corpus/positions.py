"""From a document to the tokens that are read: which may be chosen, and how many of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from nla_ray.config.corpus import Positions
from nla_ray.corpus.documents import Document
from nla_ray.corpus.matching import Pattern
from nla_ray.corpus.tokens import Tokens, tokenize, touching
from nla_ray.ids import sample_positions

UNKNOWN = -1
"""The position of a vector that came without one."""


@dataclass(frozen=True)
class Reading:
    """A document as the target reads it: its token ids, the positions to explain, or why there are none.

    `roles` as in `Tokens`; no token ids where only a vector is given. `text` is what the target saw and
    `token_ends` where its tokens end in it, where that is known. `response` is what the target said and
    `response_start` where it begins, if it was asked to continue.
    """

    document: Document
    token_ids: tuple[int, ...] = ()
    positions: tuple[int, ...] = ()
    truncated: bool = False
    problem: str | None = None
    roles: tuple[str | None, ...] | None = None
    response: str | None = None
    response_start: int | None = None
    text: str | None = None
    token_ends: tuple[int, ...] | None = None


Answer = Callable[[str, Sequence[int]], Sequence[int]]
"""From a document's id and token ids to the ids of the target's answer."""


class Reader:
    """Turns documents into readings with one target's tokenizer; with `answer` the target's answer too.

    Raises ConfigError for an expression that cannot be used.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        positions: Positions,
        *,
        seed: int,
        max_tokens: int,
        vocabulary: int | None = None,
        answer: Answer | None = None,
    ) -> None:
        self._answer, self._vocabulary = answer, vocabulary
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
            tokens = tokenize(self.tokenizer, document, to_answer=self._answer is not None)
        except TemplateError as error:
            return Reading(document, problem=f"the target's chat template refuses the messages: {error}")
        beyond = max(tokens.ids, default=0)
        if self._vocabulary is not None and beyond >= self._vocabulary:
            return Reading(
                document, problem=f"token {beyond} is outside the target's {self._vocabulary} tokens"
            )
        if self._answer is not None:
            return self._read_answered(document, tokens, self._answer)
        kept = tokens.ids[: self._max_tokens]
        chosen = self._choose(document, tokens, range(len(kept)))
        roles = None if tokens.roles is None else tokens.roles[: len(kept)]
        text, ends = shown(tokens, len(kept))
        reading = Reading(
            document, kept, truncated=len(kept) < len(tokens.ids), roles=roles, text=text, token_ends=ends
        )
        return with_positions(reading, chosen)

    def _read_answered(self, document: Document, prompt: Tokens, answer: Answer) -> Reading:
        """A document that is cut would be answered wrongly: it is a problem."""
        start = len(prompt.ids)
        if start > self._max_tokens:
            problem = f"{start} tokens are too many to be answered; corpus.max_tokens is {self._max_tokens}"
            return Reading(document, prompt.ids[: self._max_tokens], truncated=True, problem=problem)
        tokens = prompt.answered(answer(document.doc_id, prompt.ids), self.tokenizer)
        ends = {"prompt": (0, start), "response": (start, len(tokens.ids)), "both": (0, len(tokens.ids))}
        chosen = self._choose(document, tokens, range(*ends[self._positions.part]))
        text, token_ends = shown(tokens, len(tokens.ids))
        reading = Reading(
            document,
            tokens.ids,
            roles=tokens.roles,
            response=tokens.text[len(prompt.text) :],
            response_start=start,
            text=text,
            token_ends=token_ends,
        )
        return with_positions(reading, chosen)

    def _choose(self, document: Document, tokens: Tokens, within: range) -> list[int] | str:
        """The positions to read, ascending, or why there are none."""
        how = self._positions
        if how.choose == "column":
            listed = document.listed or ()
            beyond = [position for position in listed if position >= len(tokens.ids)]
            if beyond:
                return f"{how.column!r} lists position {beyond[0]}; the document has {len(tokens.ids)} tokens"
            found = [position for position in listed if position in within]
        else:
            problem = self._cannot_choose(document, tokens)
            if problem is not None:
                return problem
            found = choose(how, self._seed, document.doc_id, self._candidates(tokens, within))
        if how.limit is not None:
            found = sample_positions(self._seed, document.doc_id, found, how.limit)
        return found or f"no position to read in {len(within)} tokens; see positions.{self._narrowest()}"

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

    def _candidates(self, tokens: Tokens, within: range) -> list[int]:
        """Positions that may be chosen: not the first ones, no special or template tokens unless allowed."""
        how, roles = self._positions, tokens.roles
        found: Sequence[int] = within
        if self._pattern is not None and tokens.spans is not None:
            found = touching(tokens.spans, self._pattern.spans(tokens.text))
        return [
            position
            for position in found
            if position in within
            and position >= how.min_position
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
        found = Reading(document, positions=(document.position,), text=document.text)
        if self.tokenizer is None or document.text is None:
            return found
        tokens = tokenize(self.tokenizer, document)
        if len(tokens.ids) != document.position + 1:
            return found
        return replace(found, token_ids=tokens.ids, token_ends=shown(tokens, len(tokens.ids))[1])

    def _misfit(self, document: Document) -> str | None:
        length = len(document.vector or b"") // 4
        if length != self._d_model:
            return f"a vector of {length} values, the verbalizer takes {self._d_model}"
        if document.layer not in (None, self._layer):
            return f"a vector of layer {document.layer}, the verbalizer reads layer {self._layer}"
        return None


def shown(tokens: Tokens, n: int) -> tuple[str, tuple[int, ...] | None]:
    """The text of the first `n` tokens, and where each ends; the whole text where that is not known."""
    if tokens.spans is None:
        return tokens.text, None
    ends = tuple(accumulate((end for _, end in tokens.spans[:n]), max))
    return (tokens.text if n == len(tokens.ids) else tokens.text[: ends[-1]]), ends


def with_positions(reading: Reading, chosen: list[int] | str) -> Reading:
    """The reading with its positions, or with the reason why there are none."""
    if isinstance(chosen, str):
        return replace(reading, problem=chosen)
    return replace(reading, positions=tuple(chosen))


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
