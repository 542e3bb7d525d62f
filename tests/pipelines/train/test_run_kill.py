"""A driver is killed between checkpoints; the same command ends where an uninterrupted one does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from nla_ray.config.training.train import TrainConfig
from nla_ray.pipelines.train.run import train
from tests.runtime.processes import PATIENCE_S, ROOT, environment, wait_until
from tests.train_tables import train_values, write_set

STEPS = 60


@pytest.mark.slow
def test_a_killed_driver_ends_as_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nla: Callable[[str], tuple[Path, Path, Path]]
) -> None:
    monkeypatch.setenv("NLA_RAY_CACHE", str(tmp_path / "cache"))
    calm = train_values(tmp_path, nla("qwen2")[0], write_set(tmp_path / "set"))
    calm |= {"stages": {"sft_ar": {"steps": STEPS, "lr": 0.003, "batch": 8}}}
    struck = calm | {"output": str(tmp_path / "struck")}
    kill_after_first_checkpoint(tmp_path, struck)
    steps: list[int] = []
    found = train(
        TrainConfig.model_validate(struck), lambda now: steps.append(now.step) if now.metrics else None
    )
    wanted = train(TrainConfig.model_validate(calm), lambda _: None)
    assert steps[0] > 1 and steps[-1] == STEPS
    assert found.stages[0].steps == wanted.stages[0].steps == STEPS
    assert found.stages[0].held_out["fve_nrm"] == pytest.approx(
        wanted.stages[0].held_out["fve_nrm"], abs=0.01
    )


def kill_after_first_checkpoint(folder: Path, values: dict[str, Any]) -> None:
    """Run the job until a checkpoint is complete, then end it without warning."""
    path = folder / "struck.yaml"
    path.write_text(yaml.safe_dump(values))
    command = [sys.executable, str(ROOT / "jobs" / "train_nla.py"), "--config", str(path)]
    saved = Path(values["output"], "checkpoints", "sft_ar")
    with (
        path.with_suffix(".log").open("wb") as log,
        subprocess.Popen(command, env=os.environ | environment(), stdout=log, stderr=log) as running,
    ):
        try:
            wait_until(lambda: any(saved.glob("*.json")), "a checkpoint")
        finally:
            running.send_signal(signal.SIGKILL)
        assert running.wait(PATIENCE_S) == -signal.SIGKILL
