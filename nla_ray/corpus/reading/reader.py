"""From a document to what the target reads of it: its tokens, and which of them are explained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from operator import itemgetter

from transformers import PreTrainedTokenizerBase

from nla_ray.config.reading.chats import Chats
from nla_ray.config.reading.corpus import Window
from nla_ray.config.reading.positions import Positions
from nla_ray.config.reading.sample import Sample
from nla_ray.corpus.documents.document import Document
from nla_ray.corpus.reading.choice import Chooser
from nla_ray.corpus.reading.sampling import Sampler
from nla_ray.corpus.reading.tokens import Tokens, labels_of, tokenize
from nla_ray.corpus.reading.window import WINDOWED, shortened
from nla_ray.corpus.rendering.model import Owner, RenderError

UNKNOWN = -1
"""The position of a vector that came without one."""


@dataclass(frozen=True)
class Reading:
    """A document as the target reads it: its token ids, the positions to explain, or why there are none.

    `owners` as in `Tokens`; no token ids where only a vector is given. `text` is what the
    target saw and `token_ends` where its tokens end in it, where that is known. `response` is what the target
    said and `response_start` where it begins, if it was asked to continue. `left_out` are the document's
    tokens before and after those that are read, `flags` what is true of the whole document; it is
    `passed_over` where a sample keeps none of its positions.
    """

    document: Document
    token_ids: tuple[int, ...] = ()
    positions: tuple[int, ...] = ()
    problem: str | None = None
    owners: tuple[Owner | None, ...] | None = None
    response: str | None = None
    response_start: int | None = None
    text: str | None = None
    token_ends: tuple[int, ...] | None = None
    left_out: tuple[int, int] = (0, 0)
    flags: tuple[str, ...] = ()
    passed_over: bool = False

    @cached_property
    def labels(self) -> tuple[str, ...] | None:
        """A label per token, `template` for what the template adds; None for plain text."""
        return labels_of(self.owners)

    @property
    def windowed(self) -> bool:
        """Whether a window of the document was read, as `corpus.window` says."""
        return WINDOWED in self.flags

    @property
    def truncated(self) -> bool:
        """Whether the document was cut on the right, at `corpus.max_tokens`."""
        return not self.windowed and self.left_out[1] > 0


Answers = Callable[[Sequence[str], Sequence[Sequence[int]]], Sequence[Sequence[int]]]
"""From the ids of documents and their token ids to those of the target's answers, all at once."""


class Reader:
    """Turns documents into readings with one target's tokenizer; with `answers` the target's answers too.

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
        window: Window | None = None,
        chats: Chats | None = None,
        answers: Answers | None = None,
        sample: Sample | None = None,
    ) -> None:
        self._answers, self._vocabulary = answers, vocabulary
        self.tokenizer = tokenizer
        self.special_ids = special_ids(tokenizer)
        self._chooser = Chooser(positions, seed, self.special_ids)
        self._sampler = None if sample is None else Sampler(sample, seed, self.special_ids)
        self._part = positions.part
        self._max_tokens, self._window, self._chats = max_tokens, window, chats
        self._begin: int | None = tokenizer.bos_token_id

    def read_all(self, documents: Sequence[Document]) -> list[Reading]:
        """`read` of each; the target answers together those that can be answered."""
        if self._answers is None:
            return [self.read(document) for document in documents]
        prompts = [self._prompt(document) for document in documents]
        asked = [(one, tokens) for one, tokens in zip(documents, prompts, strict=True)
                 if isinstance(tokens, Tokens)]  # fmt: skip
        said = iter(self._answers([one.doc_id for one, _ in asked], [tokens.ids for _, tokens in asked]))
        return [
            prompt if isinstance(prompt, Reading) else self._answered(document, prompt, next(said))
            for document, prompt in zip(documents, prompts, strict=True)
        ]

    def read(self, document: Document) -> Reading:
        """Token ids and positions of one document; never raises for the document's own faults."""
        if self._answers is not None:
            return self.read_all([document])[0]
        tokens = self._tokens(document, to_answer=False)
        if isinstance(tokens, str):
            return Reading(document, problem=tokens)
        kept = shortened(tokens, self._window, max_tokens=self._max_tokens, begin=self._begin)
        if isinstance(kept, str):
            return Reading(document, problem=kept)
        chosen = self._chooser.positions(
            document, kept.tokens, range(len(kept.tokens.ids)), total=len(tokens.ids)
        )
        reading = reading_of(document, kept.tokens, left_out=kept.left_out, flags=kept.flags)
        if self._sampler is None or isinstance(chosen, str):
            return with_positions(reading, chosen)
        some = self._sampler.kept(document, kept.tokens, chosen)
        return replace(with_positions(reading, some), passed_over=not some)

    def strata(self, document: Document, sampler: Sampler) -> list[tuple[str, int]]:
        """Stratum and key of every position of a document; none where it has none."""
        tokens = self._tokens(document, to_answer=False)
        if isinstance(tokens, str):
            return []
        kept = shortened(tokens, self._window, max_tokens=self._max_tokens, begin=self._begin)
        if isinstance(kept, str):
            return []
        within = range(len(kept.tokens.ids))
        chosen = self._chooser.positions(document, kept.tokens, within, total=len(tokens.ids))
        if isinstance(chosen, str):
            return []
        return [(sampler.stratum(document, kept.tokens, at), sampler.key(document, at)) for at in chosen]

    def refusal(self, document: Document) -> str | None:
        """Why a document cannot be given to the target to be answered, if it cannot."""
        tokens = self._tokens(document, to_answer=True)
        return tokens if isinstance(tokens, str) else self._too_long(tokens)

    def _tokens(self, document: Document, *, to_answer: bool) -> Tokens | str:
        """The tokens of a document, or why it has none that the target can read."""
        if document.problem is not None:
            return document.problem
        try:
            tokens = tokenize(self.tokenizer, document, chats=self._chats, to_answer=to_answer)
        except RenderError as error:
            return str(error)
        beyond = max(tokens.ids, default=0)
        if self._vocabulary is not None and beyond >= self._vocabulary:
            return f"token {beyond} is outside the target's {self._vocabulary} tokens"
        return tokens

    def _too_long(self, prompt: Tokens) -> str | None:
        start, most = len(prompt.ids), self._max_tokens
        said = f"{start} tokens are too many to be answered; corpus.max_tokens is {most}"
        return said if start > most else None

    def _prompt(self, document: Document) -> Tokens | Reading:
        """What the target is asked; a document that would be cut is a problem, for it is answered wrongly."""
        tokens = self._tokens(document, to_answer=True)
        if isinstance(tokens, str):
            return Reading(document, problem=tokens)
        if (problem := self._too_long(tokens)) is not None:
            ids, left_out = tokens.ids[: self._max_tokens], (0, len(tokens.ids) - self._max_tokens)
            return Reading(document, ids, left_out=left_out, problem=problem)
        return tokens

    def _answered(self, document: Document, prompt: Tokens, answer: Sequence[int]) -> Reading:
        start, tokens = len(prompt.ids), prompt.answered(answer, self.tokenizer)
        ends = {"prompt": (0, start), "response": (start, len(tokens.ids)), "both": (0, len(tokens.ids))}
        within = range(*ends[self._part])
        chosen = self._chooser.positions(document, tokens, within, total=len(tokens.ids))
        said = tokens.text[len(prompt.text) :]
        reading = replace(reading_of(document, tokens), response=said, response_start=start)
        return with_positions(reading, chosen)


class VectorReader:
    """Readings of vectors that came with the corpus; the target's tokenizer, if given, finds their tokens."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase | None, *, d_model: int, layer: int) -> None:
        self.tokenizer = tokenizer
        self.special_ids = frozenset() if tokenizer is None else special_ids(tokenizer)
        self._d_model = d_model
        self._layer = layer

    def read_all(self, documents: Sequence[Document]) -> list[Reading]:
        """`read` of each."""
        return [self.read(document) for document in documents]

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
        return replace(reading_of(document, tokens), positions=found.positions)

    def _misfit(self, document: Document) -> str | None:
        length = len(document.vector or b"") // 4
        if length != self._d_model:
            return f"a vector of {length} values, the verbalizer takes {self._d_model}"
        if document.layer not in (None, self._layer):
            return f"a vector of layer {document.layer}, the verbalizer reads layer {self._layer}"
        return None


def reading_of(
    document: Document,
    tokens: Tokens,
    *,
    left_out: tuple[int, int] = (0, 0),
    flags: tuple[str, ...] = (),
) -> Reading:
    """The tokens of a document as they are read, without positions yet; `flags` are told beside theirs."""
    ends = None if tokens.spans is None else tuple(accumulate(map(itemgetter(1), tokens.spans), max))
    return Reading(
        document,
        tokens.ids,
        owners=tokens.owners,
        flags=(*tokens.flags, *flags),
        text=tokens.text,
        token_ends=ends,
        left_out=left_out,
    )


def with_positions(reading: Reading, chosen: list[int] | str) -> Reading:
    """The reading with its positions, or with the reason why there are none."""
    if isinstance(chosen, str):
        return replace(reading, problem=chosen)
    return replace(reading, positions=tuple(chosen))


def special_ids(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Ids that the tokenizer declares special, among its own and among the added ones."""
    added = tokenizer.added_tokens_decoder.items()
    return frozenset(tokenizer.all_special_ids) | {number for number, token in added if token.special}
