"""Which tokens are read: keyed by seed and document alone, special and early tokens left out."""

from __future__ import annotations

from typing import Any

import pytest

from nla_ray.config.decode import Positions
from nla_ray.stages.documents import Document
from nla_ray.stages.positions import Reader, choose, special_ids
from tests.tiny import tiny_tokenizer

IDS = tuple(range(100, 140))
SPECIAL = {105, 120, 139}


def chosen(doc_id: str = "d", seed: int = 0, **settings: Any) -> list[int]:
    return choose(Positions(**settings), seed, doc_id, IDS, SPECIAL)


def test_random_positions_are_keyed_by_seed_and_document() -> None:
    assert chosen(n=5) == chosen(n=5)
    assert chosen(n=5) != chosen(n=5, doc_id="e")
    assert chosen(n=5) != chosen(n=5, seed=1)
    assert chosen(n=5) == sorted(set(chosen(n=5)))


@pytest.mark.parametrize("how", ["random", "last", "every", "all"])
def test_early_and_special_tokens_are_left_out(how: str) -> None:
    found = chosen(choose=how, n=1, min_position=3)
    assert found and min(found) >= 3
    assert not {IDS[position] for position in found} & SPECIAL


def test_special_tokens_may_be_asked_for() -> None:
    assert {5, 20, 39} <= set(chosen(choose="all", special=True, min_position=0))


def test_last_and_every() -> None:
    assert chosen(choose="last", n=3) == [36, 37, 38]
    assert chosen(choose="every", n=10, min_position=0, special=True) == [0, 10, 20, 30]


def test_fewer_candidates_than_wanted() -> None:
    assert chosen(n=100, min_position=35) == [35, 36, 37, 38]


def reader(family: str = "qwen2", max_tokens: int = 100, **settings: Any) -> Reader:
    settings = {"min_position": 0, **settings}
    return Reader(tiny_tokenizer(family), Positions(**settings), seed=0, max_tokens=max_tokens)


def test_a_chat_goes_through_the_template() -> None:
    document = Document("d", "s", messages=({"role": "user", "content": "the model"},))
    reading = reader(choose="all").read(document)
    tokenizer = tiny_tokenizer("qwen2")
    assert tokenizer.decode(reading.token_ids) == "<|im_start|>user\nthe model<|im_end|>\n"
    start = tokenizer.convert_tokens_to_ids("<|im_start|>")
    assert reading.token_ids[0] == start and 0 not in reading.positions


@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_special_tokens_stand_once(family: str) -> None:
    tokenizer = tiny_tokenizer(family)
    text = reader(family).read(Document("d", "s", text="the model"))
    chat = reader(family).read(Document("d", "s", messages=({"role": "user", "content": "the model"},)))
    for reading in (text, chat):
        assert reading.token_ids.count(tokenizer.bos_token_id) == 1


def test_a_long_document_is_cut_on_the_right() -> None:
    reading = reader(max_tokens=5, choose="all").read(Document("d", "s", text="the model said " * 9))
    assert reading.truncated and len(reading.token_ids) == 5 and max(reading.positions) == 4


def test_a_document_without_a_position_has_a_problem() -> None:
    reading = reader(min_position=50).read(Document("d", "s", text="the model"))
    assert "no position to read in" in str(reading.problem)


def test_the_template_may_refuse_messages() -> None:
    refusing = reader()
    refusing.tokenizer.chat_template = "{{ raise_exception('roles must alternate') }}"
    reading = refusing.read(Document("d", "s", messages=({"role": "user", "content": "x"},)))
    assert "roles must alternate" in str(reading.problem)


def test_added_special_tokens_are_special() -> None:
    tokenizer = tiny_tokenizer("qwen2")
    assert tokenizer.convert_tokens_to_ids("<|im_start|>") in special_ids(tokenizer)
