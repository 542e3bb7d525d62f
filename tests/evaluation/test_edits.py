"""Edits of texts."""

from __future__ import annotations

import pytest

from nla_ray.evaluation.edits import (
    RULES,
    SHARES,
    keep_words,
    remove_quotes,
    remove_section,
    sections,
    shuffle_words,
)

TEXT = "A chat about \"the sea\".\n\nIt isn't calm:  the “old” boat.\n \nThe last words are 'on deck'."


def test_shuffled_words_are_the_same_words_in_an_order_by_key() -> None:
    made = shuffle_words(TEXT, "a")
    assert sorted(made.split()) == sorted(TEXT.split()) and made.split() != TEXT.split()
    assert made == shuffle_words(TEXT, "a") != shuffle_words(TEXT, "b")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (TEXT, "A chat about .\n\nIt isn't calm: the boat.\n \nThe last words are ."),
        ("it's the dogs' and the cats' food", "it's the dogs' and the cats' food"),
        ("«un» „zwei“ ‘three’ 「四」 `five` end", "end"),
        ('an open "quote', 'an open "quote'),
    ],
)
def test_quotes_go_and_apostrophes_stay(text: str, left: str) -> None:
    assert remove_quotes(text) == left


def test_sections_are_set_apart_by_blank_lines() -> None:
    assert len(sections(TEXT)) == 3
    assert sections("one\ntwo") == ["one\ntwo"] and sections(" \n\n ") == []


def test_one_section_is_taken_away_where_others_are_left() -> None:
    assert remove_section(TEXT, "", "first").startswith("It isn't")
    assert remove_section(TEXT, "", "middle").count("\n\n") == 1
    assert "boat" not in remove_section(TEXT, "", "middle") and "sea" in remove_section(TEXT, "", "middle")
    assert "deck" not in remove_section(TEXT, "", "last")
    assert remove_section("one\n\ntwo", "", "middle") == "one\n\ntwo"
    assert remove_section("one", "", "first") == remove_section("one", "", "last") == "one"
    many = "a\n\nb\n\nc\n\nd"
    assert {remove_section(many, str(key), "middle") for key in range(20)} == {"a\n\nc\n\nd", "a\n\nb\n\nd"}


def test_a_cut_text_is_a_beginning() -> None:
    assert (SHARES[0], SHARES[-1], len(SHARES)) == (0.0, 1.0, 11)
    kept = [keep_words(TEXT, share) for share in SHARES]
    assert kept[0] == "" and kept[-1] == TEXT and all(TEXT.startswith(one) for one in kept)
    assert [len(keep_words("a b c d e f g h i j", share).split()) for share in SHARES] == list(range(11))
    assert keep_words("one two three", 0.1) == "one" and keep_words("", 0.5) == ""


def test_every_rule_takes_any_text() -> None:
    for rule in RULES:
        for text in ("", " ", "\n\n\n", '"', "'" * 50, '"' * 51, "word", "\x00\ud800"):
            assert isinstance(rule.apply(text, "key"), str)
