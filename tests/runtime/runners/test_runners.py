"""One suite for every runner: the same rows, failures as results, errors of a set-up as errors."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from nla_ray.corpus.documents.pieces import UnitSource
from nla_ray.errors import CheckpointError, ConfigError
from nla_ray.pipelines.decode.isolate import retry
from nla_ray.pipelines.decode.planning import plan_alone
from nla_ray.pipelines.decode.run import decode, runner_of, stages_of
from nla_ray.runtime import ray_data
from nla_ray.stages.code import code_of
from nla_ray.stages.units.work import Done, Failed, Task
from nla_ray.store import open_store
from tests.decoded import record_of, rows_of, same_rows, sound
from tests.runtime.conftest import Make
from tests.runtime.stages import Echo, Last, Raising

TASKS = [Task(f"u{i}", UnitSource(()), 1) for i in range(3)]


@pytest.mark.slow
def test_every_runner_gives_the_same_rows(make: Make, runner: str) -> None:
    ours, theirs = make(runner, "ours"), make("local", "theirs")
    run, reference = decode(ours), decode(theirs)
    assert run.run_id == reference.run_id
    sound(ours.output)
    for view in ("all_explanations", "documents", "failures"):
        same_rows(rows_of(ours.output, view), rows_of(theirs.output, view), within=1e-5)
    assert len(rows_of(ours.output)) == 8 * 2 * 2 * 5
    record = record_of(ours.output)
    assert record["attempt"]["units"] == 4 and record["attempt"]["runner"]["name"] == ours.runner.name
    assert record["attempt"]["workers"] == (3 if runner == "pools" else 1)
    same = ("baseline", "documents", "vectors", "tokens", "generated_tokens", "outcomes")
    for name in same:
        assert record[name] == record_of(theirs.output)[name], name


@pytest.mark.slow
def test_failures_are_results_and_units_without_fault_are_made(make: Make, one_process: str) -> None:
    raising = Raising({"u0": ValueError("two\n lines"), "u1": ConfigError("it ends the run")})
    with runner_of(make(one_process), [Echo(), raising, Echo(), Last()]) as opened:
        results = list(opened.stream(TASKS))
        assert list(opened.stream([])) == []
    failed = {one.task.unit_id: one for one in results if isinstance(one, Failed)}
    assert [one.task for one in results if isinstance(one, Done)] == [TASKS[2]] and len(results) == 3
    assert (failed["u0"].reason, failed["u0"].fatal) == ("ValueError: two lines", None)
    assert failed["u1"].reason == str(failed["u1"].fatal) == "it ends the run"
    assert isinstance(failed["u1"].fatal, ConfigError)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_a_worker_with_other_code_makes_no_rows(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_data, "code_of", lambda: replace(code_of(), sha256="0" * 64))
    with runner_of(make("fused"), [Echo(), Echo(), Echo(), Echo()]) as opened:
        results = list(opened.stream(TASKS))
    assert {type(one) for one in results} == {Failed} and len(results) == len(TASKS)
    assert "other code than the job's driver" in str(results[0].fatal)  # type: ignore[union-attr]


@pytest.mark.slow
def test_weights_that_cannot_be_loaded_are_one_error(make: Make, one_process: str, tmp_path: Path) -> None:
    models = {role: str(tmp_path / role) for role in ("target", "av", "ar")}
    for role, directory in models.items():
        shutil.copytree(getattr(make("local").models, role).path, directory)
    ready = plan_alone(make(one_process, models=models), lambda doing, documents: None)
    (tmp_path / "av" / "model.safetensors").unlink()
    with (
        runner_of(ready.config, stages_of(ready, open_store(ready.config.output))) as opened,
        pytest.raises(CheckpointError, match=str(tmp_path / "av")),
    ):
        list(retry(ready.tasks, opened.stream))
    assert not Path(ready.config.output).exists()
