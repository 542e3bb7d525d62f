"""The window of a long document: the tokens it says, their own text, and a count of the others."""

from __future__ import annotations

import random

import pytest

from nla_ray.config.reading.corpus import Window
from nla_ray.config.reading.positions import Positions
from nla_ray.corpus.chats.model import Chat, Message
from nla_ray.corpus.documents.document import Document
from nla_ray.corpus.reading.reader import Reader, Reading
from nla_ray.corpus.reading.tokens import Tokens
from nla_ray.corpus.reading.window import Kept, shortened
from tests.corpus.labelled import labelled, pieces, plain
from tests.tiny import tiny_tokenizer

CHAT = labelled(("template", -1, 2), ("user", 0, 6), ("tool_call", 1, 4), ("user", 2, 8))
BEGIN = 100


def kept(tokens: Tokens, around: str, n: int, begin: int | None = None) -> Kept:
    found = shortened(tokens, Window(tokens=n, around=around), max_tokens=100, begin=begin)
    assert isinstance(found, Kept)
    return found


@pytest.mark.parametrize(
    ("around", "n", "begin", "indices", "left_out"),
    [
        ("start", 5, None, range(5), (0, 15)),
        ("end", 5, None, range(15, 20), (15, 0)),
        ("end", 5, BEGIN, [0, *range(16, 20)], (15, 0)),
        ("end", 19, BEGIN, [0, *range(2, 20)], (1, 0)),
        ("start", 5, BEGIN, range(5), (0, 15)),
        ("tool_call", 6, None, range(6, 12), (6, 8)),
        ("tool_call", 6, BEGIN, [0, *range(7, 12)], (6, 8)),
        ("user", 3, None, range(17, 20), (17, 0)),
        ("template", 5, None, range(5), (0, 15)),
        ("tool_call", 20, BEGIN, range(20), (0, 0)),
        ("absent", 20, BEGIN, range(20), (0, 0)),
    ],
)
def test_which_tokens_a_window_keeps(
    around: str, n: int, begin: int | None, indices: list[int], left_out: tuple[int, int]
) -> None:
    found = kept(CHAT, around, n, begin)
    assert found.tokens.ids == tuple(CHAT.ids[at] for at in indices) and found.left_out == left_out
    assert found.tokens.labels == tuple((CHAT.labels or ())[at] for at in indices)
    assert found.tokens.owners == tuple((CHAT.owners or ())[at] for at in indices)
    assert pieces(found.tokens) == [pieces(CHAT)[at] for at in indices]
    assert found.tokens.text == "".join(pieces(found.tokens))
    assert found.flags == (() if len(indices) == 20 else ("windowed",))


def test_every_window_has_its_own_text_and_loses_no_count() -> None:
    rng = random.Random(3)
    for _ in range(300):
        total, n = rng.randint(1, 60), rng.randint(2, 60)
        tokens = plain(total)
        found = kept(tokens, rng.choice(["start", "end"]), n, rng.choice([None, BEGIN]))
        assert len(found.tokens.ids) == min(n, total)
        assert len(found.tokens.ids) + sum(found.left_out) == total
        assert pieces(found.tokens) == [f" é{token - 100}" for token in found.tokens.ids]


def test_a_document_without_the_label_says_which_labels_it_has() -> None:
    for tokens, there in ((CHAT, "template, user, tool_call"), (plain(9), "none")):
        said = shortened(tokens, Window(tokens=5, around="thinking"), max_tokens=100, begin=None)
        assert said == f"no 'thinking' to put corpus.window around; its labels: {there}"


def test_where_tokens_stand_need_not_be_known() -> None:
    found = kept(plain(20, known=False), "end", 5)
    assert found.tokens.ids == tuple(range(115, 120)) and found.tokens.spans is None


def read(family: str, window: Window | None, *, max_tokens: int = 500, **positions: object) -> Reading:
    """A long chat, read."""
    turns = [{"role": role, "content": f"{role} said that {n} is true"} for n in range(9)
             for role in ("user", "assistant")]  # fmt: skip
    how = Positions.model_validate({"choose": "all", "min_position": 0, "special": True, **positions})
    reader = Reader(tiny_tokenizer(family), how, seed=0, max_tokens=max_tokens, window=window)
    return reader.read(Document("d", "s", chat=Chat(tuple(Message(**one) for one in turns))))


@pytest.mark.parametrize(("family", "begins"), [("qwen2", False), ("llama", True), ("gemma3", True)])
def test_a_beginning_of_text_stays_in_front(family: str, begins: bool) -> None:
    whole, piece = read(family, None), read(family, Window(tokens=30))
    tokenizer = tiny_tokenizer(family)
    begin = tokenizer.bos_token or ""
    assert (piece.token_ids[0] == tokenizer.bos_token_id) == begins
    assert str(whole.text).endswith(str(piece.text).removeprefix(begin)) and len(piece.token_ids) == 30
    ends = piece.token_ends or ()
    assert len(ends) == 30 and ends[-1] == len(str(piece.text)) and max(piece.positions) < 30
    assert piece.windowed and not piece.truncated and sum(piece.left_out) == len(whole.token_ids) - 30


def test_what_is_cut_on_the_right_is_counted_and_is_no_window() -> None:
    whole, piece = read("qwen2", None), read("qwen2", None, max_tokens=30)
    assert piece.truncated and not piece.flags and piece.left_out == (0, len(whole.token_ids) - 30)
    assert str(whole.text).startswith(str(piece.text))


def test_an_expression_finds_its_tokens_in_a_window() -> None:
    piece = read("llama", Window(tokens=40), regex="that 8")
    tokenizer = tiny_tokenizer("llama")
    said = tokenizer.decode([piece.token_ids[at] for at in piece.positions])
    assert said.count("that") == 2 and said.replace(" ", "") == "that8that8"
