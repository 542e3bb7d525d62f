"""Units on their way: their ids, which of their documents are wanted, which places they have."""

from __future__ import annotations

from nla_ray.corpus.documents.document import Document
from nla_ray.corpus.documents.pieces import UnitSource
from nla_ray.corpus.reading.reader import Reading
from nla_ray.stages.units.work import Task, places_of, unit_id_of


def test_a_unit_is_its_recipe_and_content() -> None:
    one, other = Document("a", "x:1", text="t"), Document("b", "x:2", text="t")
    assert unit_id_of("f", [one, other]) == unit_id_of("f", [Document("a", "moved:9", text="t"), other])
    assert len({unit_id_of("f", [one]), unit_id_of("g", [one]), unit_id_of("f", [other])}) == 3


def test_what_is_left_out_and_what_is_tried() -> None:
    task = Task("u", UnitSource(()), 4, skip={1: "it kills"})
    assert [task.wants(index) for index in range(4)] == [True, False, True, True]
    trial = task.trial([1, 2])
    assert [trial.wants(index) for index in range(4)] == [False, False, True, False]
    assert trial.unit_id == task.unit_id and trial != task


def test_places_are_numbered_over_documents_that_can_be_read() -> None:
    readings = [
        Reading(Document("a", "x:1", text="t"), token_ids=(5, 6, 7), positions=(0, 2)),
        Reading(Document("b", "x:2", text="t"), positions=(1,), problem="no"),
        Reading(Document("c", "x:3", text="t"), token_ids=(5,), positions=(0,)),
    ]
    found = [(place.doc_id, place.position, place.index) for place in places_of(readings)]
    assert found == [("a", 0, 0), ("a", 2, 1), ("c", 0, 2)]
