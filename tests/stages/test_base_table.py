"""What a training set keeps of a position: its text, and its last tokens within their span."""

from __future__ import annotations

from nla_ray.corpus.reading.reader import reading_of
from nla_ray.stages.training_set.base_table import tail_of, text_until
from tests.corpus.labelled import CHAT, TEXT, labelled, plain


def test_a_tail_does_not_leave_its_span() -> None:
    chat = labelled(("user", 0, 3), ("thinking", 1, 2), ("assistant", 1, 6), ("assistant", 2, 2))
    reading = reading_of(CHAT, chat)
    tails = {at: tail_of(reading, at) for at in (1, 4, 5, 10, 12)}
    assert tails == {
        1: [" é0", " é1"], 4: [" é3", " é4"], 5: [" é5"], 10: [" é7", " é8", " é9", " é10"],
        12: [" é11", " é12"],
    }  # fmt: skip
    assert text_until(reading, 1) == " é0 é1"


def test_of_plain_text_a_tail_is_the_last_tokens() -> None:
    assert tail_of(reading_of(TEXT, plain(9)), 8) == [" é5", " é6", " é7", " é8"]
