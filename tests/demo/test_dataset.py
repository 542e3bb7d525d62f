"""Tokens aligned with truth."""

from __future__ import annotations

import pytest
from transformers import PreTrainedTokenizerFast

from nla_ray.demo import world
from nla_ray.demo.dataset import Encoded, encode, examples
from nla_ray.demo.recipe.tokenizer import MARKER, train_tokenizer
from nla_ray.demo.vocabulary import vocabulary


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(1400, seed=1, documents=2000)


@pytest.fixture(scope="module")
def encoded(tokenizer: PreTrainedTokenizerFast) -> list[Encoded]:
    return encode(world.documents(2, 60), tokenizer)


def test_words_and_marker_are_single_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    lexicon = world.lexicon()
    names = [word for topic in lexicon["topics"].values() for word in (*topic["items"], *topic["words"])]
    for word in [f" {name}" for name in names] + [MARKER]:
        assert len(tokenizer.encode(word, add_special_tokens=False)) == 1, word


def test_own_text_is_what_the_positions_cover(
    tokenizer: PreTrainedTokenizerFast, encoded: list[Encoded]
) -> None:
    for doc in encoded:
        assert tokenizer.decode(list(doc.ids[doc.start : doc.stop])).strip() == doc.document.text
        assert doc.ends[doc.stop - 1] == len(doc.document.text)
        assert all(doc.ends[i] == 0 for i in range(doc.start))


def test_a_property_is_known_from_its_first_position_on(encoded: list[Encoded]) -> None:
    for doc in encoded:
        for prop, first in doc.shown_from().items():
            assert prop in doc.known(max(first, doc.start))
            if first > doc.start:
                assert prop not in doc.known(first - 1)


def test_examples_name_what_is_known_and_end_with_the_last_words(
    tokenizer: PreTrainedTokenizerFast, encoded: list[Encoded]
) -> None:
    places = examples(encoded, 3, 0, tokenizer)
    assert len(places) == 3 * len(encoded)
    for place in places:
        doc = encoded[place.doc]
        assert place.position in doc.candidates()
        named = vocabulary().named(place.explanation)
        assert place.known.items() <= named.items()
        assert all(value == getattr(doc.document, prop) for prop, value in named.items())
        upto = tokenizer.decode(list(doc.ids[doc.start : place.position + 1])).strip()
        assert upto.endswith(place.explanation.rsplit("… ", 1)[1].removesuffix('".').removesuffix('"'))


def test_what_is_written_with_a_document_says_what_the_world_says(encoded: list[Encoded]) -> None:
    for doc in encoded[:20]:
        evident, statements = doc.evident_from(), doc.statements_from()
        for position in doc.candidates():
            found = {prop for prop, first in evident.items() if first <= position}
            assert found == set(world.evident(doc.document, doc.ends[position]))
            begun = sum(start <= position for start in statements)
            assert world.ordinal(begun) == world.place(doc.document, doc.ends[position])
