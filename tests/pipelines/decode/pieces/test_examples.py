"""Positions as they are shown before a run: each token in its place in the text."""

from __future__ import annotations

from nla_ray.corpus.documents.document import Document
from nla_ray.corpus.reading.reader import Reading
from nla_ray.pipelines.decode.pieces.examples import examples_of


def test_bytes_of_one_character_are_shown_as_it() -> None:
    reading = Reading(Document("d", "s"), (0,) * 5, (0, 2, 4), text="a鯨 x", token_ends=(1, 2, 2, 2, 4))
    found = [(one.before, one.token, one.after) for one in examples_of(reading)]
    assert found == [("", "a", "鯨 x"), ("a", "鯨", " x"), ("a鯨", " x", "")]
