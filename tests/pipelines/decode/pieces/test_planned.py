"""The plan from pieces of files: the same as one pass over the whole corpus gives, wherever they are made."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from nla_ray.config.decode import DecodeConfig
from nla_ray.config.runner import Runner
from nla_ray.corpus.documents.document import Document
from nla_ray.corpus.documents.pieces import read_unit, units_of
from nla_ray.pipelines.decode.pieces import make as making
from nla_ray.pipelines.decode.planning import Decode
from nla_ray.stages.extract import reader_of, tokenizer_of, vocabulary_of
from nla_ray.stages.units.work import Task, unit_id_of
from nla_ray.stages.write import planned_rows
from tests.pipelines.decode.pieces.conftest import Make, planned


def in_one_pass(config: DecodeConfig, ready: Decode) -> tuple[list[Task], list[Document]]:
    """The tasks of a corpus that is read from its first document to its last by one process."""
    target = ready.checkpoints.target
    reader = reader_of(
        config,
        tokenizer_of(config, target),
        d_model=ready.sidecar.d_model,
        layer=ready.identity.layer,
        vocabulary=vocabulary_of(config, target),
    )
    tasks, every = list[Task](), list[Document]()
    for source, documents in units_of(config.corpus, listed=config.positions.column):
        unit_id = unit_id_of(ready.identity.recipe, documents)
        rows = planned_rows(config, [reader.read(one) for one in documents])
        tasks.append(Task(unit_id, source, len(documents), rows))
        every += documents
    return tasks, every


@pytest.mark.parametrize("units", ["count", "content"])
@pytest.mark.parametrize("more", [{}, {"limit": 20}, {"limit": 9}, {"unit_documents": 1}, {"id": None}])
def test_it_is_what_one_pass_gives(
    make: Make, units: str, more: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "BATCH", 5)
    config = make(corpus={"units": units} | more)
    ready = planned(config)
    tasks, documents = in_one_pass(config, ready)
    assert list(ready.tasks) == tasks
    digests = "".join(one.content_digest() for one in documents)
    assert ready.survey.sha256 == hashlib.sha256(digests.encode()).hexdigest()
    assert ready.survey.documents == len(documents)
    assert [one for task in tasks for one in read_unit(task.source, config.corpus)] == documents


def test_ids_that_are_used_again_are_found_across_files(make: Make) -> None:
    ready = planned(make())
    twice = [one for task in ready.tasks for piece in task.source.pieces for one in piece.twice]
    # Three ids are in all four files. A document that goes by its place may have the id of a later one.
    assert len(twice) == 3 * 3 + 1
    assert "2.jsonl:5" in {holder for _, holder in twice}
    assert ready.survey.unusable == len(twice) + 4
    assert "an earlier one has the id" in ready.warnings[0]


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_workers_of_a_cluster_make_the_same_plan(make: Make, tmp_path: Path) -> None:
    here = planned(make())
    there = planned(make(output=str(tmp_path / "other")), Runner(name="ray"))
    assert there.tasks == here.tasks and there.survey == here.survey and there.examples == here.examples
    assert there.plan.canonical() == here.plan.canonical()
