"""True explanations from the truth that a document carries."""

from __future__ import annotations

import random

import pytest

from nla_ray.demo import world
from nla_ray.demo.provider import DemoProvider, known
from nla_ray.demo.vocabulary import vocabulary
from nla_ray.errors import InputError
from nla_ray.providers.provider import Place
from tests.providers.places import place, said

TRUTH = {
    "topic": "chess", "item": "bishops", "mood": "neutral", "safety": "none", "theme": "privacy",
    "shown": {"mood": 23, "topic": 16, "safety": 42, "item": 16},
}  # fmt: skip


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
    named = [vocabulary().named(one.text) for one in (first, later)]
    assert set(named[0]) == {"topic", "item"} and named[1]["safety"] == "none"
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
    mentioned = [set(vocabulary().named(text)) for text in texts]
    assert all({"topic", "item"} <= found for found in mentioned)
    for prop in ("mood", "safety"):
        assert 0 < sum(prop in found for found in mentioned) < 60
    assert {("we" in text, "that" in text) for text in texts} == {(False, False), (True, False), (True, True)}


def test_documents_of_no_demo_world_are_refused() -> None:
    for meta in ({}, {"truth": None}, {"truth": {"topic": "chess"}}):
        with pytest.raises(InputError, match="document doc has no truth of the demo world"):
            said(DemoProvider(0), place(**meta))
