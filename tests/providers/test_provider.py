"""What counts as an explanation, and the providers that cost nothing."""

from __future__ import annotations

import random
from typing import Any

import pytest

from nla_ray.config.training.training_set import Column, Templates
from nla_ray.demo import world
from nla_ray.errors import InputError
from nla_ray.providers.column import ColumnProvider
from nla_ray.providers.demo import DemoProvider, known
from nla_ray.providers.provider import Place, Provider, Said, parsed

TRUTH = {
    "topic": "chess", "item": "bishops", "mood": "neutral", "safety": "none", "theme": "privacy",
    "shown": {"mood": 23, "topic": 16, "safety": 42, "item": 16},
}  # fmt: skip


def place(position: int | None = 30, **meta: Any) -> Place:
    return Place("doc", position, "some text that we keep", " keep", (" that", " we", " keep"), meta)


def said(provider: Provider, *places: Place) -> list[Said]:
    found = dict(provider.explain(places, "unit"))
    return [found[at] for at in range(len(places))]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("<explanation>\na\n\nb\n</explanation>", Said("a\n\nb")),
        ("Sure.\n<explanation>a\n \n\n b</explanation> more", Said("a\n\nb")),
        ("<explanation>a\n\nb", Said(None, "no closing tag")),
        ("a\n\nb", Said(None, "no closing tag")),
        ("", Said(None, "no closing tag")),
        ("<explanation>a\nb</explanation>", Said(None, "fewer than two features")),
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
        ("<think>try <explanation>x\n\ny</explanation>, or", Said(None, "the reasoning did not end")),
        ("<explanation>a\ud800\n\nb</explanation>", Said("a\ufffd\n\nb")),
    ],
)
def test_only_closed_answers_of_two_features_count(raw: str, expected: Said) -> None:
    assert parsed(raw) == expected


def test_the_demo_worlds_truth_up_to_a_position() -> None:
    assert set(known(TRUTH, 30)) == {"topic", "item", "mood"}
    assert set(known(TRUTH, 42)) == {"topic", "item", "mood", "safety"} == set(known(TRUTH, None))
    assert known(TRUTH | {"statements": [3, 20, 31]}, 30)["place"] == "second"
    assert "place" not in known(TRUTH | {"statements": [31]}, 30)
    assert set(known(TRUTH | {"evident": {"safety": 3}}, 30)) == {"safety"}
    (first, later, again) = said(
        DemoProvider(0), place(10, truth=TRUTH), place(99, truth=TRUTH), place(99, truth=TRUTH)
    )
    assert first.text is not None and later.text is not None and later == again
    assert set(world.named(first.text)) == {"topic", "item"} and world.named(later.text)["safety"] == "none"
    assert "that we keep" in later.text and len(later.text.split("\n\n")) == 3


def test_an_explanation_is_that_of_the_world() -> None:
    """The same words as where the document itself is known."""
    document = next(iter(world.documents(5, 1)))
    truth = {name: getattr(document, name) for name in ("topic", "item", "mood", "safety", "theme")}
    plain = world.evident(document, len(document.text))
    expected = world.explanation(document, plain, "end", random.Random(1))
    rebuilt = world.Document("", None, "", **truth, marks=())
    assert world.explanation(rebuilt, plain, "end", random.Random(1)) == expected


def test_a_brief_explanation_leaves_some_of_it_out() -> None:
    places = [
        Place(f"doc{at}", 99, None, None, (" that", " we", " keep"), {"truth": TRUTH}) for at in range(60)
    ]
    texts = [one.text or "" for one in said(DemoProvider(0, brief=True), *places)]
    mentioned = [set(world.named(text)) for text in texts]
    assert all({"topic", "item"} <= found for found in mentioned)
    for prop in ("mood", "safety"):
        assert 0 < sum(prop in found for found in mentioned) < 60
    assert {("we" in text, "that" in text) for text in texts} == {(False, False), (True, False), (True, True)}


def test_documents_of_no_demo_world_are_refused() -> None:
    for meta in ({}, {"truth": None}, {"truth": {"topic": "chess"}}):
        with pytest.raises(InputError, match="document doc has no truth of the demo world"):
            said(DemoProvider(0), place(**meta))


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
    with pytest.raises(InputError, match="no column 'x' beside the vectors; the columns are y"):
        said(provider, place(y=1))
