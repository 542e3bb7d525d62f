"""What counts as an explanation, and the providers that cost nothing."""

from __future__ import annotations

import pytest

from nla_ray.config.training.training_set import Column, Templates
from nla_ray.errors import InputError
from nla_ray.providers.column import ColumnProvider
from nla_ray.providers.provider import Said, parsed
from tests.providers.places import place, said


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("<explanation>\na\n\nb\n</explanation>", Said("a\n\nb")),
        ("Sure.\n<explanation>a\n \n\n b</explanation> more", Said("a\n\nb")),
        ("<explanation>a\n\nb", Said(None, "no closing tag")),
        ("a\n\nb", Said(None, "no closing tag")),
        ("", Said(None, "empty")),
        ("<explanation>a\nb</explanation>", Said("a\n\nb")),
        ("<explanation>a b</explanation>", Said(None, "fewer than two features")),
        ("<explanation></explanation>", Said(None, "fewer than two features")),
        (
            "<think>try <explanation>x\n\ny</explanation>, no</think><explanation>a\n\nb</explanation>",
            Said("a\n\nb"),
        ),
        (
            "try <explanation>x\n\ny</explanation>\n</thinking>\n<explanation>a\n\nb</explanation>",
            Said("a\n\nb"),
        ),
        ("<explanation>a\n\nb, it ends with </think></explanation>", Said("a\n\nb, it ends with </think>")),
        ("<think>try <explanation>x\n\ny</explanation>, or", Said(None, "nothing but reasoning")),
        ("<explanation>a\ud800\n\nb</explanation>", Said("a\ufffd\n\nb")),
    ],
)
def test_only_closed_answers_of_two_features_count(raw: str, expected: Said) -> None:
    assert parsed(raw) == expected


def test_a_column_with_or_without_tags_and_template() -> None:
    provider = ColumnProvider(Column(kind="column", column="x"), Templates().ar)
    prompt = Templates().ar.format(explanation="three")
    values = ["one", "<explanation>\ntwo\n</explanation>", prompt, " ", None,
              "<explanation>cut", 7]  # fmt: skip
    found = said(provider, *(place(x=value) for value in values))
    assert [one.text for one in found] == ["one", "two", "three", None, None, None, None]
    assert [one.reason for one in found[3:]] == ["no text in the column"] * 2 + [
        "no closing tag",
        "no text in the column",
    ]
    with pytest.raises(InputError, match="no column 'x' in the corpus; the columns are y"):
        said(provider, place(y=1))
