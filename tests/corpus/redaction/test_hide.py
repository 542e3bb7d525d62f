"""Hiding characters of a text, and where its tokens end in what is left."""

from __future__ import annotations

import random

from nla_ray.corpus.redaction.hide import CUT, gaps, hide, merged, overlaps


def test_spans_that_touch_are_one_and_empty_ones_nothing() -> None:
    assert merged([(5, 7), (0, 2), (2, 3), (6, 9), (4, 4)]) == [(0, 3), (5, 9)]


def test_tokens_end_where_their_text_ends() -> None:
    text, ends = hide("call 555-1234 now", [(5, 13)], "#", [4, 8, 9, 13, 17])
    assert text == "call # now" and ends == (4, 6, 6, 6, 10)
    assert hide("abc", [(0, 3)], "#", [1, 3]) == ("#", (1, 1))
    assert hide("abc", [], "#", [1, 3]) == ("abc", (1, 3))


def test_what_is_not_hidden_stands_between_the_same_ends() -> None:
    """For any text, spans and tokens: a token without a part in a span is the same characters as before."""
    draw = random.Random(0)
    for _ in range(500):
        n = draw.randrange(1, 40)
        text = "".join(draw.choice("abcdé ") for _ in range(n))
        spans = merged((at := draw.randrange(n), at + draw.randrange(4)) for _ in range(draw.randrange(4)))
        spans = [(start, min(end, n)) for start, end in spans]
        ends = [*sorted(draw.randrange(n + 1) for _ in range(8)), n]
        shown, moved = hide(text, spans, "[x]", ends)
        assert list(moved) == sorted(moved) and moved[-1] == len(shown)
        for first, last, shown_first, shown_last in zip(ends, ends[1:], moved, moved[1:], strict=False):
            if first < last and not overlaps(spans, first, last):
                # A span that ends the token before is replaced before this token begins.
                assert shown[shown_first:shown_last] == text[first:last]


def test_a_byte_of_a_hidden_character_has_a_part_in_it() -> None:
    assert overlaps([(2, 3)], 2, 3) and overlaps([(2, 3)], 3, 3)
    assert not overlaps([(2, 3)], 3, 4) and not overlaps([(2, 3)], 2, 2)


def test_gaps_are_what_is_far_from_every_position() -> None:
    ends = [1, 2, 3, 4, 5, 6, 7, 8]
    assert gaps(8, ends, [2, 6], 1) == [(0, 1), (4, 5)]
    assert gaps(8, ends, range(8), 0) == []
    assert hide("abcdefgh", gaps(8, ends, [4], 1), CUT)[0] == f"{CUT}def{CUT}"
