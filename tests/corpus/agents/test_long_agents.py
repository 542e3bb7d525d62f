"""Transcripts of 60,000 tokens: their labels, their windows, and the positions that short words choose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import get_args

import pytest

from nla_ray.config.reading.chats import Chats, Dropped
from nla_ray.config.reading.corpus import Window
from nla_ray.config.reading.positions import Positions
from nla_ray.corpus.documents.document import Document
from nla_ray.corpus.reading.choice import Chooser
from nla_ray.corpus.reading.reader import Reader, special_ids
from nla_ray.corpus.reading.tokens import Tokens, tokenize
from nla_ray.corpus.reading.window import Kept, shortened
from tests.corpus.agents import oracle
from tests.corpus.agents.formats import FORMATS
from tests.corpus.agents.reading import LONGEST, STORIES, compare, tokens_of, write_all
from tests.corpus.rendering.parts import tokenizer_with

LENGTH = 4096
LONG = {38: ("inspect-chunked", "qwen3"), 39: ("responses", "mistral")}
CHATS = Chats(dropped=get_args(Dropped))


@dataclass(frozen=True)
class Long:
    """A long document, its tokens, and whose each of them is by the oracle."""

    document: Document
    family: str
    tokens: Tokens
    pieces: Sequence[oracle.Piece | None]

    @property
    def labels(self) -> list[str]:
        return ["template" if one is None else one.label for one in self.pieces]


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Long]:
    @cache
    def read(number: int) -> Long:
        (name, family), story = LONG[number], STORIES[number]
        document = write_all(name, tmp_path_factory.mktemp(name)).documents[story.name]
        found = oracle.seen(tokenizer_with(family), story, FORMATS[name], family)
        pieces = found.pieces(tokens_of(found.text, family)[1])
        return Long(document, family, tokenize(tokenizer_with(family), document, chats=CHATS), pieces)

    return read


@pytest.mark.parametrize("number", LONG)
def test_every_token_of_a_long_transcript_has_its_label(number: int, long: Callable[[int], Long]) -> None:
    name, family = LONG[number]
    assert len(long(number).tokens.ids) > 60_000
    assert compare(long(number).document, STORIES[number], name, family) in ("whole", "dropped")


@pytest.mark.parametrize(
    ("number", "around"),
    [
        (38, "end"),
        (38, "start"),
        (38, "assistant"),
        (38, "thinking"),
        (38, "tool_call"),
        (39, "assistant"),
        (39, "system"),
    ],
)
def test_a_window_ends_with_the_last_of_its_label(
    number: int, around: str, long: Callable[[int], Long]
) -> None:
    one = long(number)
    total, labels = len(one.pieces), one.labels
    kept = shortened(one.tokens, Window(tokens=LENGTH, around=around), max_tokens=LONGEST, begin=None)
    assert isinstance(kept, Kept)
    stop = {"end": total, "start": LENGTH}.get(around) or max(LENGTH, total - labels[::-1].index(around))
    assert kept.left_out == (stop - LENGTH, total - stop) and kept.flags == ("windowed",)
    assert kept.tokens.ids == one.tokens.ids[stop - LENGTH : stop]
    assert list(kept.tokens.labels or ()) == labels[stop - LENGTH : stop]
    assert kept.tokens.text in one.tokens.text


def test_a_reader_chooses_within_the_window(long: Callable[[int], Long]) -> None:
    one = long(38)
    window, how = Window(tokens=LENGTH, around="thinking"), Positions.model_validate("thinking:last")
    reader = Reader(tokenizer_with(one.family), how, seed=0, max_tokens=LENGTH, window=window, chats=CHATS)
    reading = reader.read(one.document)
    assert reading.problem is None and reading.positions[-1] == LENGTH - 1
    assert {(reading.labels or ())[at] for at in reading.positions} == {"thinking"}


@pytest.mark.parametrize("number", LONG)
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            "assistant:first:4",
            lambda one: [at for span in _spans(one, "assistant") for at in _said(one, span)[:4]],
        ),
        ("before:tool_call:1", lambda one: [span[0] - 1 for span in _spans(one, "tool_call")]),
        ("thinking:all", lambda one: [at for span in _spans(one, "thinking") for at in _said(one, span)]),
        (
            "tool_result:last",
            lambda one: [at for span in _spans(one, "tool_result") for at in _said(one, span)[-1:]],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_short_words_choose_their_positions(
    number: int, words: str, expected: Callable[[Long], list[int]], long: Callable[[int], Long]
) -> None:
    one, tokenizer = long(number), tokenizer_with(LONG[number][1])
    chooser = Chooser(Positions.model_validate(words), 0, special_ids(tokenizer))
    total = len(one.tokens.ids)
    found = chooser.positions(one.document, one.tokens, range(total), total=total)
    wanted = expected(one)
    assert found == wanted if wanted else str(found).startswith("no position to read")


def _spans(one: Long, label: str) -> list[list[int]]:
    """The positions of each message's tokens with a label, of each call's with all between them."""
    spans = []
    places = [(at, piece) for at, piece in enumerate(one.pieces) if piece and piece.label == label]
    for _, run in groupby(places, key=lambda place: (place[1].message, place[1].call)):
        found = [at for at, _ in run]
        spans.append([*range(found[0], found[-1] + 1)])
    return spans


def _said(one: Long, span: list[int]) -> list[int]:
    """A span without special tokens and what the template put into it."""
    special = special_ids(tokenizer_with(one.family))
    return [at for at in span if one.tokens.ids[at] not in special and one.pieces[at] is not None]
