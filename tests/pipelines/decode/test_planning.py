"""The plan: known without weights, equal wherever it is made, refused where it cannot be carried out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nla_ray.config.decode import DecodeConfig
from nla_ray.corpus.documents.pieces import read_unit
from nla_ray.errors import ConfigError, InputError
from nla_ray.pipelines.decode.pieces import units
from nla_ray.pipelines.decode.planning import Decode, plan_alone, settled
from tests.cli.conftest import TEXT
from tests.conftest import NlaDirs

Make = Callable[..., DecodeConfig]


@pytest.fixture
def make(tmp_path: Path, nla: Callable[[str], NlaDirs]) -> Make:
    """`make(corpus={...})`: five documents in three units, one of which is unusable."""
    corpus = tmp_path / "corpus.jsonl"
    rows = [{"id": f"doc{i}", "text": TEXT * i} for i in range(5)]
    corpus.write_text("".join(json.dumps(row) + "\n" for row in rows))
    models = dict(zip(("target", "av", "ar"), map(str, nla("qwen2")), strict=True))

    def config(**changes: Any) -> DecodeConfig:
        read = {"paths": [str(corpus)], "text": "text", "id": "id", "unit_documents": 2}
        values = {
            "output": str(tmp_path / "out"),
            "models": models,
            "corpus": read | changes.pop("corpus", {}),
            "positions": {"n": 2},
            "controls": {"shuffled": 0, "random": 1},
            "sampling": {"samples": 3},
        }
        return DecodeConfig.model_validate(values | changes)

    return config


def planned(config: DecodeConfig) -> Decode:
    return plan_alone(config, lambda doing, documents: None)


def test_every_unit_has_its_rows_before_anything_runs(make: Make, tmp_path: Path) -> None:
    ready = planned(make())
    # doc0 is empty: one row. The others have two positions, each with a control, and three samples.
    assert [task.planned for task in ready.tasks] == [1 + 12, 24, 12]
    assert [task.documents for task in ready.tasks] == [2, 2, 1]
    assert (ready.survey.documents, ready.survey.unusable, ready.survey.vectors) == (5, 1, 8)
    assert ready.plan.units == {task.unit_id: task.planned for task in ready.tasks}
    documents = [one for task in ready.tasks for one in read_unit(task.source, ready.config.corpus)]
    assert [one.doc_id for one in documents] == [f"doc{i}" for i in range(5)]
    assert not (tmp_path / "out").exists()


def test_some_positions_are_kept_to_be_looked_at(make: Make) -> None:
    ready = planned(make(positions="every:4"))
    assert list(dict.fromkeys(one.doc_id for one in ready.examples)) == ["doc1", "doc2", "doc3"]
    for one in ready.examples:
        text = TEXT * int(one.doc_id.removeprefix("doc"))
        assert one.before + one.token + one.after in text and one.token.strip() and one.label is None
    assert [one.position for one in ready.examples[3:6]] == [10, 26, 38]
    assert not any(one.after in ready.plan.canonical() for one in ready.examples)


def test_a_plan_is_equal_bytes_wherever_it_is_made(make: Make) -> None:
    runner = {"name": "ray", "pool": {"actors": 7}}
    engine = {"slots": 8, "batch_tokens": 99}
    one = planned(make())
    other = planned(make(output="s3://a/b", runner=runner, max_failed_fraction=0.5, engine=engine))
    assert one.plan.canonical() == other.plan.canonical()


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"sampling": {"samples": 4}}, {"corpus": {"limit": 4}}, {"corpus": {"unit_documents": 3}},
     {"engine": {"dtype": "bfloat16"}}, {"controls": {"none": 1}}, {"positions": {"n": 3}}],
)  # fmt: skip
def test_what_changes_rows_is_another_run(make: Make, change: dict[str, Any]) -> None:
    assert planned(make()).plan.run_id != planned(make(**change)).plan.run_id


def test_a_changed_document_is_another_unit_and_the_others_stay(make: Make, tmp_path: Path) -> None:
    before = planned(make())
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text(corpus.read_text().replace('"doc4"', '"other"'))
    after = planned(make())
    same = [one.unit_id == other.unit_id for one, other in zip(before.tasks, after.tasks, strict=True)]
    assert same == [True, True, False] and before.plan.run_id != after.plan.run_id


def test_what_the_target_says_decides_how_many_rows_there_are(make: Make) -> None:
    ready = planned(make(continuation={}, positions={"part": "response"}))
    assert set(ready.plan.units.values()) == {None} and ready.survey.vectors is None
    short = planned(make(continuation={}, corpus={"max_tokens": 40}))
    assert short.survey.unusable == 4 and "too many to be answered" in "".join(short.unusable)


def test_what_the_models_have_no_room_for_is_refused(make: Make) -> None:
    """The target and the verbalizer were made for 1024 tokens."""
    assert planned(make()).config.corpus.max_tokens == 1024
    assert planned(make(continuation={})).config.corpus.max_tokens == 1024 - 128
    nowhere = {"paths": ["nowhere.jsonl"]}
    for changes, said in (
        ({"corpus": {"max_tokens": 1025}}, r"corpus\.max_tokens: 1025 tokens, and .* was made for 1024"),
        ({"corpus": {"window": {"tokens": 1025}}}, r"corpus\.window\.tokens: 1025 tokens"),
        ({"corpus": {"max_tokens": 897}, "continuation": {}}, "with the answer's 128 at most 896"),
        ({"continuation": {"max_new_tokens": 1024}}, r"continuation\.max_new_tokens: 1024 tokens"),
        ({"sampling": {"max_new_tokens": 1024}}, r"sampling\.max_new_tokens: 1024 .* at most \d+$"),
    ):
        with pytest.raises(ConfigError, match=said):
            planned(make(**changes | {"corpus": changes.get("corpus", {}) | nowhere}))


def test_metadata_that_no_document_has_is_refused_and_that_some_have_is_kept(
    make: Make, tmp_path: Path
) -> None:
    with pytest.raises(
        InputError, match=r"corpus\.meta: none of 4 usable .* 'nope'; .* keys are 'id', 'text'"
    ):
        planned(make(corpus={"meta": ["nope"]}))
    with (tmp_path / "corpus.jsonl").open("a") as corpus:
        corpus.write(json.dumps({"id": "some", "text": TEXT, "nope": 1}) + "\n")
    ready = planned(make(corpus={"meta": ["nope"]}))
    *_, last = read_unit(ready.tasks[-1].source, ready.config.corpus)
    assert last.meta == '{"nope": 1}'


def test_a_unit_must_fit_into_memory(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "UNIT_BYTES", 3 * 32 * 4)
    with pytest.raises(
        ConfigError, match=r"corpus\.unit_documents: a unit would have 4 vectors of 32 values"
    ):
        planned(make())
    assert planned(make(corpus={"unit_documents": 1}))


def test_workers_decide_on_device_and_type_together(make: Make) -> None:
    def engine(**runner: Any) -> tuple[str, str]:
        found = settled(make(runner={"name": "ray"} | runner))
        return found.device, found.dtype

    assert engine() == ("cpu", "float32")
    assert engine(pool={"gpus": 0.5}) == ("cuda", "bfloat16")
    every = {"extract": {"gpus": 1}, "verbalize": {"gpus": 1}, "reconstruct": {"gpus": 1}}
    assert engine(pools=every) == ("cuda", "bfloat16")
    with pytest.raises(ConfigError, match=r"runner\.pools: some have GPUs and some have none"):
        engine(pools=every | {"extract": {}})
