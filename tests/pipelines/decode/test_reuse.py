"""What another run made already is taken from it, named as such, and costs nothing; the rows are the same."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from nla_ray.config.decode import DecodeConfig
from nla_ray.errors import ConfigError
from nla_ray.pipelines.decode import planning
from nla_ray.pipelines.decode import run as running
from nla_ray.pipelines.decode.reuse import held_units
from nla_ray.pipelines.decode.run import Decoded, Progress, decode, plan
from nla_ray.stages.code import Code, code_of
from nla_ray.stages.stage import Stage
from nla_ray.stages.units.work import Work
from nla_ray.store.places.objects import Store
from tests.cli.conftest import TEXT, Job, job  # noqa: F401 (fixture)
from tests.decoded import record_of, rows_of, runs_of, same_rows, sound

DOCUMENTS, UNIT = 20, 2


def write_week(folder: Path, documents: list[str]) -> Path:
    folder.mkdir(parents=True)
    rows = [{"key": f"d{n:02}", "body": text, "at": n} for n, text in enumerate(documents)]
    (folder / "docs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def demo(week: Path, output: Path, **changes: Any) -> DecodeConfig:
    values = {
        "output": str(output),
        "models": {"target": "demo:target", "av": "demo:av", "ar": "demo:ar"},
        "corpus": {"paths": [str(week)], "text": "body", "id": "key", "meta": ["at"], "unit_documents": UNIT},
        "positions": {"n": 1},
        "controls": {"shuffled": 1, "random": 0},
        "sampling": {"max_new_tokens": 12},
        "engine": {"slots": 4, "device": "cpu"},
        "keep": ["documents", "activations"],
    }
    return DecodeConfig.model_validate(values | changes)


@pytest.mark.slow
def test_the_next_week_takes_what_is_the_same_from_the_last(tmp_path: Path) -> None:
    texts = [f"Document {n}: the weather was mild and the council met again." for n in range(DOCUMENTS)]
    texts[3] = " "  # unusable: known by its place
    one = write_week(tmp_path / "w1", texts)
    # A line more before all others moves every line of the file, but no document to another unit.
    two = write_week(
        tmp_path / "elsewhere" / "w2", [*texts[:16], *(f"{text} Or not." for text in texts[16:])]
    )
    (two / "docs.jsonl").write_text("\n" + (two / "docs.jsonl").read_text())
    tables, fresh = tmp_path / "tables", tmp_path / "fresh"
    first = decode(demo(one, tables))
    wide = {"engine": {"slots": 8, "device": "cpu", "batch_tokens": 999}, "keep": ["documents"]}
    told: list[Progress] = []
    second = decode(demo(two, tables, **wide), add=True, report=told.append)
    alone = decode(demo(two, fresh, **wide))
    assert second.run_id == alone.run_id != first.run_id
    for view in ("all_explanations", "documents", "failures"):
        same_rows(rows_of(tables, view, run=second.run_id), rows_of(fresh, view))
    record, apart = record_of(tables, run=second.run_id), record_of(fresh)
    assert record["reused"]["units"] == 8 and record["reused"]["from"] == {first.run_id: 8}
    assert record["attempt"]["units"] == 2 and apart["reused"]["units"] == 0
    for counted in ("documents", "vectors", "tokens", "generated_tokens", "outcomes", "baseline"):
        assert record[counted] == apart[counted]
    assert max(one.before for one in told if one.doing == "reusing units") == 8
    sound(tables)


def small(job: Job, **changes: Any) -> DecodeConfig:  # noqa: F811
    """A decode of four documents in two units by a tiny pair."""
    rows = [{"id": f"doc{n}", "text": f"{n} {TEXT}"} for n in range(4)]
    job.corpus.write_text("".join(json.dumps(row) + "\n" for row in rows))
    values = {
        "output": str(job.output),
        "models": {name: str(getattr(job, name)) for name in ("target", "av", "ar")},
        "corpus": {"paths": [str(job.corpus)], "text": "text", "id": "id", "unit_documents": 2},
        "positions": {"n": 1},
        "controls": {"shuffled": 0, "random": 0},
        "sampling": {"max_new_tokens": 4},
        "engine": {"slots": 4, "device": "cpu"},
        "prove": False,
    }
    corpus = values["corpus"] | changes.pop("corpus", {})
    return DecodeConfig.model_validate(values | {"corpus": corpus} | changes)


def test_what_is_all_there_needs_no_models(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    first = decode(small(job))
    part = small(job, corpus={"limit": 2})
    assert held_units(*plan(part)) == {first.run_id: 1}

    def refused(*_: object) -> None:
        raise AssertionError("a model was asked for")

    monkeypatch.setattr(running, "runner_of", refused)
    taken = decode(part, add=True)
    record = record_of(job.output, run=taken.run_id)
    assert record["reused"] == {"units": 1, "rows": 2, "vectors": 2, "from": {first.run_id: 1}}
    assert record["busy_seconds"] == {} and record["attempt"]["vectors"] == 0
    less = decode(small(job, corpus={"limit": 2}, keep=[]), add=True)
    again = record_of(job.output, run=less.run_id)["reused"]["from"]
    assert again == {first.run_id: 1}, "who made it is named, not who had it last"
    sound(job.output)


def test_where_the_target_answers_units_are_reused_too(job: Job) -> None:  # noqa: F811
    answering = {"continuation": {"max_new_tokens": 3}, "positions": {"n": 1, "part": "response"}}
    first = decode(small(job, **answering))
    taken = decode(small(job, corpus={"limit": 2}, **answering), add=True)
    assert record_of(job.output, run=taken.run_id)["reused"]["from"] == {first.run_id: 1}
    whole, part = (rows_of(job.output, run=run) for run in (first.run_id, taken.run_id))
    same_rows([row for row in whole if row["doc_id"] in ("doc0", "doc1")], part, apart=("run_id", "fve_nrm"))


def test_a_damaged_unit_is_made_again(job: Job) -> None:  # noqa: F811
    first = decode(small(job))
    for file in sorted(job.output.glob("explanations/*/*")):
        file.write_bytes(file.read_bytes()[:-20])
    part = decode(small(job, corpus={"limit": 2}), add=True)
    assert record_of(job.output, run=part.run_id)["reused"]["units"] == 0
    assert {row["run_id"] for row in rows_of(job.output, run=part.run_id)} == {part.run_id} != {first.run_id}


def test_models_of_equal_bytes_keep_the_names_they_were_begun_with(job: Job) -> None:  # noqa: F811
    moved = job.av.rename(job.av.with_name("moved"))
    names = {"target": str(job.target), "av": str(moved), "ar": str(job.ar)}
    half = decode_half(small(job, models=names))
    moved.rename(job.av)
    assert decode(small(job)).run_id == half
    (named,) = {row["av"] for row in rows_of(job.output)}
    assert str(moved) in named


def decode_half(config: DecodeConfig) -> str:
    """Begin a run and end after its first unit; returns its id."""

    class Killed(BaseException):
        pass

    def die(now: Progress) -> None:
        if now.doing == "decoding" and now.units:
            raise Killed

    with pytest.raises(Killed):
        decode(config, report=die)
    return plan(config)[0].plan.run_id


def test_a_run_of_other_code_is_finished_by_it_or_abandoned(
    job: Job,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    newer = Code("f" * 64, torch="9", transformers="9", tokenizers="9")
    half = decode_half(small(job))
    monkeypatch.setattr(planning, "code_of", lambda: newer)
    with pytest.raises(ConfigError) as refused:
        decode(small(job))
    said = str(refused.value)
    assert all(
        part in said for part in (half, str(newer), str(code_of()), f"sweep abandon {job.output} {half}")
    )
    monkeypatch.undo()
    assert decode(small(job)).run_id == half


def test_a_committed_run_of_other_code_stays_and_is_named(
    job: Job,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decode(small(job))
    newer = Code("f" * 64, torch="9", transformers="9", tokenizers="9")
    monkeypatch.setattr(planning, "code_of", lambda: newer)
    again: Decoded = decode(small(job))
    assert again.again and again.note is not None and str(code_of()) in again.note
    part = decode(small(job, corpus={"limit": 2}), add=True)
    assert record_of(job.output, run=part.run_id)["reused"]["units"] == 0, "rows of other code are no donors"
    assert len(runs_of(job.output)) == 2


class Counting(Stage):
    """The real stage; each unit that comes to it is noted, and the first one waits for the other driver."""

    def __init__(self, stage: Stage, seen: list[str], together: threading.Barrier) -> None:
        self._stage, self._seen, self._together, self.name = stage, seen, together, stage.name

    def setup(self) -> None:
        self._stage.setup()
        self._together.wait(timeout=60)

    def __call__(self, work: Work) -> Any:
        self._seen.append(work.task.unit_id)
        return self._stage(work)


def test_two_drivers_share_a_run(job: Job) -> None:  # noqa: F811
    units, seen, together = 24, list[str](), threading.Barrier(2)
    rows = [{"id": f"doc{n}", "text": f"{n} {TEXT}"} for n in range(units)]
    config = small(job, corpus={"unit_documents": 1})
    job.corpus.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def counted(ready: planning.Decode, store: Store) -> list[Stage]:
        first, verbalize, *rest = running.stages_of(ready, store)
        return [first, Counting(verbalize, seen, together), *rest]

    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(decode, config, stages=counted) for _ in range(2)]
    assert {one.result().run_id for one in both} == set(runs_of(job.output))
    sound(job.output)
    assert len(set(seen)) == units
    assert len(seen) - units <= units // 4, "in step, each would have made nearly all of them"
