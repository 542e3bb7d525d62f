"""From the tokens of a document to those that are read: which may be chosen, and how many of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from itertools import chain, groupby, repeat

from nla_ray.config.reading.positions import Positions
from nla_ray.corpus.documents.document import Document
from nla_ray.corpus.reading.matching import Pattern
from nla_ray.corpus.reading.tokens import Tokens, touching
from nla_ray.corpus.rendering.model import Owner
from nla_ray.ids import digest, sample_positions
from nla_ray.tables import TEMPLATE


class Chooser:
    """Chooses as a configuration says. Raises ConfigError for an expression that cannot be used."""

    def __init__(self, how: Positions, seed: int, special_ids: frozenset[int]) -> None:
        self._how, self._seed, self._special_ids = how, seed, special_ids
        self._pattern = None if how.regex is None else Pattern(how.regex, option="positions.regex")

    def positions(self, document: Document, tokens: Tokens, within: range, *, total: int) -> list[int] | str:
        """The positions to read, ascending, or why there are none; the whole document has `total` tokens."""
        how = self._how
        problem = self._cannot_choose(document, tokens, total)
        if problem is not None:
            return problem
        if how.choose == "column":
            found = [position for position in document.listed or () if position in within]
        elif how.label is not None:
            beside = set(_beside(tokens, how.label, before=how.choose == "before", n=how.n))
            found = [position for position in within if position in beside]
        else:
            found = self._chosen(document, tokens, self._candidates(tokens, within))
        if how.limit is not None:
            found = sample_positions(self._seed, document.doc_id, found, how.limit)
        return found or self._nothing(tokens, within)

    def _cannot_choose(self, document: Document, tokens: Tokens, total: int) -> str | None:
        how = self._how
        if how.choose == "column":
            beyond = next((position for position in document.listed or () if position >= total), None)
            said = f"{how.column!r} lists position {beyond}; the document has {total} tokens"
            return None if beyond is None else said
        if self._pattern is not None and tokens.spans is None:
            return "positions.regex needs a tokenizer that tells where tokens stand in the text"
        needed = how.roles or how.label or how.per != "document" or not how.template
        if document.chat is not None and tokens.owners is None and needed:
            return (
                "the target's tokenizer does not tell where tokens stand in the text, so that messages "
                "cannot be told from the template's; allow both with positions.template"
            )
        return None

    def _candidates(self, tokens: Tokens, within: range) -> list[int]:
        """Positions that may be chosen, ascending."""
        found: Sequence[int] = within
        if self._pattern is not None and tokens.spans is not None:
            found = touching(tokens.spans, self._pattern.spans(tokens.text))
        first = max(within.start, self._how.min_position)
        if tokens.owners is None and not self._how.roles:
            ids, left_out = tokens.ids, frozenset[int]() if self._how.special else self._special_ids
            return [at for at in found if first <= at < within.stop and ids[at] not in left_out]
        return [at for at in found if first <= at < within.stop and self._allowed(tokens, at)]

    def _allowed(self, tokens: Tokens, position: int) -> bool:
        """Whether a token has a wanted label, and is no special or template token unless these are wanted."""
        how, label = self._how, None if tokens.labels is None else tokens.labels[position]
        if how.roles and label not in how.roles:
            return False
        if tokens.ids[position] in self._special_ids:
            return how.special
        return label != TEMPLATE or how.template or TEMPLATE in how.roles

    def _chosen(self, document: Document, tokens: Tokens, candidates: Sequence[int]) -> list[int]:
        """Some of the candidates, of all of them or of each message or span."""
        how, doc_id = self._how, document.doc_id
        if how.per == "document" or tokens.owners is None:
            return choose(how, self._seed, doc_id, candidates)
        numbers = message_numbers(tokens) if how.per == "message" else _span_numbers(tokens)
        groups: dict[int, list[int]] = {}
        for position in candidates:
            groups.setdefault(numbers[position], []).append(position)
        groups.pop(-1, None)
        names = (digest(how.per, doc_id, number) for number in groups)
        chosen = map(choose, repeat(how), repeat(self._seed), names, groups.values())
        return sorted(chain.from_iterable(chosen))

    def _nothing(self, tokens: Tokens, within: range) -> str:
        how = self._how
        given = {"column": how.column, "regex": how.regex, "label": how.label, "roles": how.roles}
        narrowest = next((name for name, value in given.items() if value), "min_position")
        said = f"no position to read in {len(within)} tokens; see positions.{narrowest}"
        if narrowest not in ("label", "roles"):
            return said
        wanted = [how.label] if how.label is not None else list(how.roles)
        lost = [label for label in wanted if f"dropped:{label}" in tokens.flags]
        if lost:
            return f"{said}: the chat template left out {', '.join(lost)}, as corpus.chat.dropped allows"
        there = list(dict.fromkeys(tokens.labels or ()))
        near = difflib.get_close_matches(wanted[0], there, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return f"{said}; {hint}its labels: {', '.join(there) or 'none':.200}"


def choose(how: Positions, seed: int, name: str, candidates: Sequence[int]) -> list[int]:
    """Some of the candidate positions, which are ascending; what is drawn is keyed by seed and name."""
    match how.choose:
        case "random":
            return sample_positions(seed, name, candidates, how.n)
        case "first":
            return list(candidates[: how.n])
        case "last":
            return list(candidates[-how.n :])
        case "every":
            return list(candidates[:: how.n])
        case _:
            return list(candidates)


def label_spans(tokens: Tokens) -> Iterator[tuple[str, range]]:
    """The label of each span and its positions, from the first to the last, in the order of the first ones.

    What a template writes inside a call, or around the parts of a content, does not end a span.
    """
    owners = tokens.owners or ()
    for owner, run in groupby(_runs(owners), key=lambda span: owners[span.start]):
        spans = list(run)
        yield TEMPLATE if owner is None else owner.label, range(spans[0].start, spans[-1].stop)


def _runs(owners: Sequence[Owner | None]) -> Iterator[range]:
    """Runs of tokens of one owner; without the template's between two of the same, which are inside."""
    runs = []
    for _, run in groupby(range(len(owners)), key=owners.__getitem__):
        first, *others = run
        runs.append(range(first, first + 1 + len(others)))
    for at, span in enumerate(runs):
        inside = 0 < at < len(runs) - 1 and owners[runs[at - 1].start] == owners[runs[at + 1].start]
        if owners[span.start] is not None or not inside:
            yield span


def message_numbers(tokens: Tokens) -> list[int]:
    """The number of each token's message, -1 for the template's."""
    return [-1 if one is None else one.message for one in tokens.owners or ()]


def _span_numbers(tokens: Tokens) -> list[int]:
    """The number of each token's span."""
    return [number for number, (_, span) in enumerate(label_spans(tokens)) for _ in span]


def _beside(tokens: Tokens, label: str, *, before: bool, n: int) -> Iterator[int]:
    """The `n` tokens before, or after, each span of a label."""
    for own, span in label_spans(tokens):
        if own == label:
            start = max(0, span.start - n) if before else span.stop
            yield from range(start, span.start if before else min(span.stop + n, len(tokens.ids)))
