"""What was read of a corpus is read once: for every plan, for every target with the same tokenizer."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nla_ray.corpus.files.sources import Source
from nla_ray.pipelines.decode.pieces import make as making
from nla_ray.store import open_store
from nla_ray.store.runs.run import open_run
from nla_ray.store.runs.verify import examine
from tests.pipelines.decode.pieces.conftest import Make, planned

Read = list[str]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Read:
    """Names of the files that were read since."""
    names, there = Read(), making.file_documents

    def noted(source: Source, *more: Any) -> Iterator[Any]:
        names.append(Path(source.path).name)
        return there(source, *more)

    monkeypatch.setattr(making, "file_documents", noted)
    return names


def test_nothing_is_read_twice(make: Make, read: Read) -> None:
    first = planned(make())
    assert sorted(read) == ["0.jsonl", "1.jsonl", "2.jsonl", "3.parquet", "4.jsonl"]
    again = planned(make())
    assert len(read) == 5
    assert (again.tasks, again.survey, again.examples) == (first.tasks, first.survey, first.examples)
    assert again.warnings == first.warnings and again.unusable == first.unusable


@pytest.mark.parametrize(
    "change", [{"corpus": {"unit_documents": 2, "units": "content"}}, {"sampling": {"samples": 1}},
               {"engine": {"slots": 32}}, {"keep": []}]
)  # fmt: skip
def test_what_has_no_effect_on_reading_is_no_reason(make: Make, read: Read, change: dict[str, Any]) -> None:
    planned(make())
    planned(make(**change))
    assert len(read) == 5


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"positions": {"n": 3}}, {"controls": {"mean": 1}},
               {"corpus": {"max_tokens": 20}}, {"corpus": {"meta": ["*"]}}]
)  # fmt: skip
def test_what_has_an_effect_is_one(make: Make, read: Read, change: dict[str, Any]) -> None:
    planned(make())
    planned(make(**change))
    assert len(read) == 10


def test_another_target_with_the_same_tokenizer_shares(make: Make, read: Read, tmp_path: Path) -> None:
    ours = tmp_path / "other"
    shutil.copytree(make().models.target.path, ours)  # type: ignore[union-attr]
    (ours / "config.json").write_text((ours / "config.json").read_text() + "\n")
    first, second = planned(make()), planned(make(models={"target": str(ours)}))
    assert len(read) == 5 and first.identity.run_id != second.identity.run_id
    tokenizer = json.loads((ours / "tokenizer.json").read_text())
    words = tokenizer["model"]["vocab"]
    words["a"], words["b"] = words["b"], words["a"]
    (ours / "tokenizer.json").write_text(json.dumps(tokenizer))
    planned(make(models={"target": str(ours)}))
    assert len(read) == 10


def test_only_a_file_that_changed_is_read_again(make: Make, read: Read, corpus: Path) -> None:
    before = planned(make())
    with (corpus / "2.jsonl").open("a") as file:
        file.write(json.dumps({"id": "new", "text": "a new document of one line"}) + "\n")
    after = planned(make())
    assert read[5:] == ["2.jsonl"] and after.survey.documents == before.survey.documents + 1


@pytest.mark.parametrize("where", [0, 40, -1])
def test_a_damaged_piece_is_made_again(make: Make, read: Read, tmp_path: Path, where: int) -> None:
    first = planned(make())
    for piece in (tmp_path / "out" / "planning").iterdir():
        data = bytearray(piece.read_bytes())
        data[where] ^= 1
        piece.write_bytes(data)
    again = planned(make())
    assert len(read) == 10 and again.tasks == first.tasks and again.survey == first.survey
    assert planned(make()).tasks == first.tasks and len(read) == 10


def test_pieces_are_no_strays(make: Make) -> None:
    config = make()
    ready = planned(config)
    open_run(open_store(config.output), ready.plan)
    assert [problem.kind for problem in examine(open_store(config.output)).problems] == ["unfinished"]
