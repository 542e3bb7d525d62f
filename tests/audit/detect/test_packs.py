"""Every example of every shipped pack, through the matching that audits use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb
import pyarrow as pa
import pytest

from nla_ray.audit.detect.matching import match
from nla_ray.config.detectors.model import Artefact, Detection, Detector, Pack
from nla_ray.config.detectors.packs import load_packs
from nla_ray.demo import world
from nla_ray.text import normalise

PACKS = load_packs()
ONES: list[Detector | Artefact] = [*PACKS.detectors, *PACKS.artefacts]
NAMED = {one.id: one.detection for one in ONES if one.detection is not None}


def matching(texts: Sequence[str], detections: Mapping[str, Detection]) -> list[set[str]]:
    """Ids of the detections that each text satisfies."""
    connection = duckdb.connect()
    norm = pa.array([normalise(text) for text in texts], pa.string())
    table = pa.table({"idx": range(len(texts)), "said": pa.array(texts, pa.string()), "norm": norm})
    connection.register("texts", table)
    match(connection, "texts", detections)
    found: list[set[str]] = [set() for _ in texts]
    rows = connection.execute(
        "SELECT idx, detector FROM audit_matches "
        "JOIN (SELECT rowid AS row, idx FROM audit_passed) USING (row)"
    )
    for at, detector in rows.fetchall():
        found[at].add(detector)
    return found


@pytest.fixture(scope="module")
def found() -> dict[str, set[str]]:
    """What matches each example of any detector."""
    texts = sorted({text for one in ONES for text in (*one.true_examples, *one.false_examples)})
    return dict(zip(texts, matching(texts, NAMED), strict=True))


@pytest.mark.parametrize("one", ONES, ids=lambda one: one.id)
def test_examples(one: Detector | Artefact, found: dict[str, set[str]]) -> None:
    assert one.true_examples and one.false_examples
    assert [text for text in one.true_examples if one.id not in found[text]] == []
    assert [text for text in one.false_examples if one.id in found[text]] == []


@pytest.mark.parametrize("pack", PACKS.packs, ids=lambda pack: pack.id)
def test_packs_have_enough_examples_and_say_where_they_come_from(pack: Pack) -> None:
    ones = [*pack.detectors, *pack.artefacts]
    assert sum(len(one.true_examples) for one in ones) >= 8
    assert sum(len(one.false_examples) for one in ones) >= 8
    assert all(one.falsepositives for one in pack.detectors)


def test_the_categories_of_an_audit_are_there() -> None:
    wanted = {
        "evaluation_awareness", "contrived_scenario", "grader_awareness", "test_tampering", "concealment",
        "leaked_answer", "incentive_reading", "hidden_objective", "user_attributes", "deception",
        "harmful_intent", "privacy", "sycophancy", "emotional_valence", "language_switch",
        "self_preservation", "artefacts",
    }  # fmt: skip
    assert wanted <= {pack.id for pack in PACKS.packs}


@pytest.mark.parametrize("name", world.safety_properties())
def test_what_explanations_of_the_demo_world_say_is_found(name: str) -> None:
    said = world.lexicon()["safety"][name]
    assert all(name in found for found in matching(said["said"], NAMED))
    assert not any(matching(said["benign_said"], NAMED))


def test_a_document_of_the_demo_world_does_not_say_what_its_explanations_say() -> None:
    documents = [one.text for one in world.documents(77, 200)]
    planted = {name: NAMED[name] for name in world.safety_properties()}
    assert matching(documents, planted) == [set()] * len(documents)
