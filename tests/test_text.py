"""Text for matching."""

from __future__ import annotations

import pytest

from nla_ray.text import normalise


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Plain Text", "plain text"),
        ("ｄｅｃｅｉｖｅ", "deceive"),
        ("de\u200bcei\u00adve", "deceive"),
        ("\u202edeceive\u202c\ufeff", "deceive"),
        ("two\n\tlines\x00", "two\n\tlines"),
        ("Straße ﬁn", "strasse fin"),
    ],
)
def test_what_hides_a_word_is_taken_away(text: str, expected: str) -> None:
    assert normalise(text) == expected
