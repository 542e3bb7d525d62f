"""Token classes."""

from __future__ import annotations

import pytest

from nla_ray.evaluation.rows import token_class


@pytest.mark.parametrize(
    ("text", "start", "end", "name"),
    [
        ("the model", 3, 9, "word, first part"),
        ("the model", 0, 3, "word, first part"),
        ("remodelled", 2, 7, "word, later part"),
        ("don't", 3, 5, "word, first part"),
        ("a 12", 1, 4, "number"),
        ("gpt4", 3, 4, "number"),
        ("end.\n", 3, 5, "punctuation"),
        ("a \n\n b", 1, 4, "space"),
        ("a\ufffd", 1, 1, "part of a character"),
        ("«été", 1, 4, "word, first part"),
    ],
)
def test_a_token_is_classed_by_its_text(text: str, start: int, end: int, name: str) -> None:
    assert token_class(text, start, end) == name
