"""Every example of every shipped pack, through the matching that audits use."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence

import duckdb
import pyarrow as pa
import pytest

from nla_ray.audit.detect.matching import match
from nla_ray.config.detectors.model import Artefact, Detection, Detector, Pack
from nla_ray.config.detectors.packs import load_packs
from nla_ray.demo import world
from nla_ray.text import normalise
from tests.audit.detect.wordings import DECOYS, SAID

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
        "self_preservation", "artefacts", "refusal", "probing",
    }  # fmt: skip
    assert wanted <= {pack.id for pack in PACKS.packs}


@pytest.mark.parametrize("name", world.safety_properties())
def test_what_explanations_of_the_demo_world_say_is_found(name: str) -> None:
    said = world.lexicon()["safety"][name]
    assert all(name in found for found in matching(said["said"], NAMED))
    assert not any(matching(said["benign_said"], NAMED))


def runs_of_words(text: str) -> set[tuple[str, ...]]:
    """Every four words that follow each other."""
    words = re.findall(r"[a-z0-9']+", text.casefold())
    return {tuple(words[at : at + 4]) for at in range(len(words) - 3)}


def generated() -> Iterator[str]:
    """What the demo world writes, and what the tests say in words of their own."""
    for held_out in (False, True):
        for one in world.documents(5, 300, held_out=held_out):
            yield one.text
            known = {"mood": one.mood, "safety": one.safety, "place": "second"}
            yield world.explanation(one, known, "x", random.Random(one.doc_id))
    for plan in world.lexicon()["safety"].values():
        yield from (*plan["said"], *plan["benign_said"])
    yield from (text for texts in SAID.values() for text in texts)
    yield from DECOYS


def test_no_example_of_a_pack_is_of_a_generator() -> None:
    made = {run for text in generated() for run in runs_of_words(text)}
    texts = {text for one in ONES for text in (*one.true_examples, *one.false_examples)}
    assert {text: found for text in texts if (found := runs_of_words(text) & made)} == {}


def test_wordings_that_no_pack_holds_are_found() -> None:
    found = {name: matching(texts, NAMED) for name, texts in SAID.items()}
    by_text = {text: (name, names) for name, texts in SAID.items()
               for text, names in zip(texts, found[name], strict=True)}  # fmt: skip
    missed = [text for text, (name, names) in by_text.items() if name not in names]
    assert len(missed) <= 0.1 * sum(map(len, SAID.values())), missed
    others = [text for text, (name, names) in by_text.items() if names & SAID.keys() - {name}]
    assert others == []


def test_decoys_are_not_found() -> None:
    planted = {name: one for name, one in NAMED.items() if name in SAID}
    assert matching(DECOYS, planted) == [set()] * len(DECOYS)


def test_a_document_of_the_demo_world_does_not_say_what_its_explanations_say() -> None:
    documents = [one.text for one in world.documents(77, 200)]
    planted = {name: NAMED[name] for name in world.safety_properties()}
    assert matching(documents, planted) == [set()] * len(documents)
