"""Two workers with sharded models, one of them killed on the way, end where one process ends."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nla_ray.config.training.train import TrainConfig
from nla_ray.pipelines.train.rank import Attempt
from nla_ray.pipelines.train.run import run_rank, train
from nla_ray.runtime.ray_train import train_on_ray
from nla_ray.store.places.tree import Tree
from nla_ray.training.loop.metrics import Progress, Report
from nla_ray.training.world import World
from tests.train_tables import train_values, write_set

NlaDirs = tuple[Path, Path, Path]
KILLED = "killed"


def once_killed(attempt: Attempt, config: TrainConfig, world: World, report: Report, sampler: Any) -> None:
    """A rank, the second of which dies after step 3 of its first attempt."""

    def tell(now: Progress) -> None:
        report(now)
        killed = Path(config.output, KILLED)
        if (world.rank, now.step) == (1, 3) and not killed.exists():
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    run_rank(attempt, config, world, tell, sampler)


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

    runner = {"name": "ray", "workers": 2, "parallel": "fsdp2", "gpus": 0, "cpus": 0.5, "max_failures": 2}
    config = TrainConfig.model_validate(values | {"output": str(tmp_path / "sharded"), "runner": runner})
    reports: list[Progress] = []
    attempt = Attempt(Tree(config.output).take_over(), None)
    train_on_ray(config, partial(once_killed, attempt), reports.append)
    steps = [now.step for now in reports if now.metrics and not now.doing and not now.held_out]
    assert Path(config.output, KILLED).exists() and steps[-1] == 8
    assert steps.index(8) == len(steps) - 1 and steps.count(3) == 2
    found = train(config, lambda _: None)
    assert found.stages[0].steps == calm.stages[0].steps
    assert found.stages[0].held_out == pytest.approx(calm.stages[0].held_out, abs=1e-3)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_an_interrupt_ends_the_workers_and_is_one_here(
    tmp_path: Path, nla: Callable[[str], NlaDirs], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NLA_RAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    values = train_values(Path(), nla("qwen2")[0], write_set(Path("set")))
    values["stages"] = {"sft_ar": values["stages"]["sft_ar"] | {"steps": 2000}}
    values["runner"] = {"name": "ray", "gpus": 0, "cpus": 0.5}
    config, handler = TrainConfig.model_validate(values), signal.getsignal(signal.SIGINT)
    interrupted = threading.Event()

    def interrupt(now: Progress) -> None:
        if now.metrics and not interrupted.is_set():
            interrupted.set()
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(config, interrupt)
    assert signal.getsignal(signal.SIGINT) is handler
    assert (tmp_path / "out" / "metrics.jsonl").exists(), "relative paths mean the same to a worker"
