"""Two workers with sharded models, one of them killed on the way, end where one process ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from nla_ray.config.train import TrainConfig
from nla_ray.pipelines.train import train
from nla_ray.training.metrics import Progress
from tests.runtime.processes import family
from tests.train_tables import train_values, write_set

NlaDirs = tuple[Path, Path, Path]
WORKER = "RayTrainWorker"


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_two_sharded_workers_and_a_killed_one_end_as_one_process(
    tmp_path: Path, nla: Callable[[str], NlaDirs], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NLA_RAY_CACHE", str(tmp_path / "cache"))
    data = write_set(tmp_path / "set")
    values = train_values(tmp_path, nla("qwen2")[0], data)
    values["stages"] = {"sft_ar": values["stages"]["sft_ar"] | {"steps": 8}}
    calm = train(TrainConfig.model_validate(values), lambda _: None)

    steps: list[int] = []

    def report(now: Progress) -> None:
        steps.append(now.step)
        if now.step == 3 and steps.count(3) == 1:
            workers = [one for one in family(os.getpid()) if WORKER in one.title()]
            os.kill(workers[-1].pid, signal.SIGKILL)

    runner = {"name": "ray", "workers": 2, "parallel": "fsdp2", "gpus": 0, "cpus": 0.5, "max_failures": 2}
    found = train(
        TrainConfig.model_validate(values | {"output": str(tmp_path / "sharded"), "runner": runner}), report
    )
    assert steps[-1] == 8 and len(steps) >= 8
    assert found.stages[0].steps == calm.stages[0].steps
    assert found.stages[0].held_out == pytest.approx(calm.stages[0].held_out, abs=1e-3)
