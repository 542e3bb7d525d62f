"""Explanations as models write them, and as the published recipe has them."""

from __future__ import annotations

import pytest

from nla_ray.providers.features import features_of


@pytest.mark.parametrize(
    ("text", "features"),
    [
        ("one\n\ntwo", ["one", "two"]),
        ("one\ntwo\r\n three ", ["one", "two", "three"]),
        ("- one\n* two\n+ three\n\u2022 four\n\u2013 five", ["one", "two", "three", "four", "five"]),
        ("1. one\n2) two\n(3) three", ["one", "two", "three"]),
        ("a. one\nB) two\n(c) three\niv. four", ["one", "two", "three", "four"]),
        ("**Genre:** a recipe\n1. **Mood**: calm", ["Genre: a recipe", "Mood: calm"]),
        ("**one is bold.**\n_two leans._\n*three*", ["one is bold.", "two leans.", "three"]),
        (
            '**Genre:**\na recipe\n\n**Final token:**\n" of" wants a noun',
            ["Genre: a recipe", 'Final token: " of" wants a noun'],
        ),
        ("# Features\n\none\n---\ntwo\n***", ["one", "two"]),
        ("```text\none\ntwo\n```", ["one", "two"]),
        ('"one"\n\u201ctwo\u201d\n"three" and "four"', ["one", "two", '"three" and "four"']),
        ("one, -2 of it\n3.5 grams follow\nno-one", ["one, -2 of it", "3.5 grams follow", "no-one"]),
        ("one\nwhat follows is a long list:\ntwo", ["one", "what follows is a long list:", "two"]),
        ("one\nFinal:", ["one", "Final:"]),
        ("", []),
        ("# one\n\n- \n**", []),
    ],
)
def test_each_line_is_a_feature_without_its_marks(text: str, features: list[str]) -> None:
    assert features_of(text) == features
