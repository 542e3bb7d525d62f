"""The planted world: deterministic, true to its marks, with twins and wordings that training never sees."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest

from nla_ray.demo import world
from nla_ray.demo.vocabulary import vocabulary


def words_of(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))


def test_documents_are_a_function_of_seed_and_place() -> None:
    first = list(world.documents(5, 30))
    assert first == list(world.documents(5, 30))
    assert first[:10] == list(world.documents(5, 10))
    assert [d.text for d in first] != [d.text for d in world.documents(6, 30)]


def test_the_world_is_as_large_as_it_must_be() -> None:
    lexicon = world.lexicon()
    assert len(lexicon["topics"]) >= 12
    assert len(world.safety_properties()) >= 6
    assert set(lexicon["moods"]) == {"positive", "negative", "neutral"}


@pytest.mark.parametrize("held_out", [False, True])
def test_every_mark_stands_for_its_documents_truth(held_out: bool) -> None:
    lexicon = world.lexicon()
    for document in world.documents(1, 200, held_out=held_out):
        assert {"mood", "safety", "topic"} <= {mark.prop for mark in document.marks}
        for mark in document.marks:
            said = document.text[mark.start : mark.end]
            assert mark.value == getattr(document, mark.prop)
            if mark.prop == "safety":
                plan = lexicon["safety"][document.theme]
                assert words_of(said) & set(plan["theme"])
                assert bool(words_of(said) & set(plan["act"])) == (mark.value != world.NONE)


def test_twins_share_all_but_the_property() -> None:
    pairs = list(world.documents(3, 40, twins=True))
    for planted, benign in zip(pairs[::2], pairs[1::2], strict=True):
        assert planted.safety == planted.theme == benign.theme and benign.safety == world.NONE
        assert (planted.topic, planted.item, planted.mood) == (benign.topic, benign.item, benign.mood)


def test_each_property_is_there_and_absent_in_its_matched_benign_documents() -> None:
    seen = Counter((d.theme, d.safety) for d in world.documents(4, 1000))
    for name in world.safety_properties():
        assert seen[name, name] > 30 and seen[name, world.NONE] > 30


def test_held_out_sentences_are_new_and_made_of_known_words() -> None:
    def sentences(held_out: bool) -> set[str]:
        documents = world.documents(7, 2000, held_out=held_out)
        return {d.text[m.start : m.end] for d in documents for m in d.marks if m.start > 0}

    known, new = sentences(False), sentences(True)
    assert not known & new
    assert words_of(" ".join(new)) <= words_of(" ".join(known))


def test_what_is_shown_grows_with_the_text() -> None:
    document = next(d for d in world.documents(8, 50) if d.prompt is None)
    assert world.shown(document, 0) == {}
    everything = world.shown(document, len(document.text))
    assert everything["mood"] == document.mood and everything["safety"] == document.safety


def test_a_value_is_evident_with_its_decisive_word_before_the_statement_ends() -> None:
    early = 0
    for document in world.documents(10, 200):
        for mark in document.marks:
            assert mark.start < mark.evident <= mark.end
            if mark.prop == "safety" and mark.value != world.NONE:
                said = document.text[mark.start : mark.evident]
                assert said.split()[-1] in world.lexicon()["safety"][mark.value]["act"]
                assert world.evident(document, mark.evident)["safety"] == mark.value
                early += mark.evident < mark.end
    assert early > 100


def test_true_explanations_are_read_back_without_loss() -> None:
    rng = random.Random(0)
    for document in world.documents(9, 500):
        known = world.shown(document, rng.randrange(40, len(document.text))) | {
            "topic": document.topic,
            "item": document.item,
        }
        text = world.explanation(document, known, "the last words", rng)
        assert vocabulary().named(text) == known
        assert 2 <= len(text.split("\n\n")) <= 3


def test_muddled_explanations_name_neither() -> None:
    assert "topic" not in vocabulary().named("Text about cooking, chess and music.")
    assert vocabulary().named("") == {}
