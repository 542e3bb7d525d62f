"""Drivers of one week: on a cluster with several targets at once, two of them, and one that is ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from nla_ray.config.sweep import SweepConfig
from nla_ray.fleet.lease import Leases
from nla_ray.fleet.results import numbers_of, results_of
from nla_ray.pipelines.sweep import run as sweep_run
from nla_ray.pipelines.sweep.place import begin_week, open_place
from nla_ray.pipelines.sweep.run import run_sweep
from nla_ray.store import open_store
from tests.conftest import NlaDirs
from tests.decoded import rows_of, same_rows, sound
from tests.sweeps import WEEKS, sweep_config

FIRST, _ = WEEKS
ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.slow


@pytest.mark.usefixtures("ray_cluster")
def test_targets_are_worked_on_at_once_on_a_cluster(tmp_path: Path, nla: Callable[[str], NlaDirs]) -> None:
    pool = {"actors": 1, "cpus": 0.25, "threads": torch.get_num_threads()}
    runner = {"name": "ray", "pool": pool}
    ray = sweep_config(tmp_path, nla("qwen2"), runner=runner, targets_at_once=2, root=str(tmp_path / "ray"))
    ended = run_sweep(ray, FIRST)
    assert [one.state for one in ended.results] == ["done"] * 4
    sound(f"{ray.root}/tables")
    local = sweep_config(tmp_path, nla("qwen2"))
    run_sweep(local, FIRST)
    same_rows(rows_of(f"{ray.root}/tables"), rows_of(f"{local.root}/tables"), within=1e-5)


def test_a_cell_that_another_driver_works_on_comes_last_and_is_taken_over_when_its_lease_ends(
    tmp_path: Path, nla: Callable[[str], NlaDirs], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_run, "POLL_S", 0.1)
    config = sweep_config(tmp_path, nla("qwen2"))
    place = begin_week(open_place(config, FIRST))
    first, *_ = place.works
    Leases(place.store, owner="dead:1", ttl_s=6.0).take(first.cell)
    lines: list[str] = []
    ended = run_sweep(config, FIRST, tell=lines.append)
    assert [one.state for one in ended.results] == ["done"] * 4
    assert ended.worked[-1] == first.cell.id
    assert "waiting for 1 cells that dead:1 works on" in lines


def command(config: SweepConfig, folder: Path) -> subprocess.Popen[str]:
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(config.model_dump(mode="json", exclude_unset=True)))
    return subprocess.Popen(
        [sys.executable, "-m", "nla_ray", "sweep", "run", str(path), "--week", FIRST],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_drivers_share_a_week(tmp_path: Path, nla: Callable[[str], NlaDirs]) -> None:
    config = sweep_config(tmp_path, nla("qwen2"))
    drivers = [command(config, tmp_path) for _ in range(2)]
    said = [driver.communicate(timeout=300) for driver in drivers]
    assert [driver.returncode for driver in drivers] == [3, 3], said
    store = open_store(config.root)
    assert [one.state for one in results_of(store, config.name, FIRST)] == ["done"] * 4
    sound(f"{config.root}/tables")
    attempts = [one.attempt for one in numbers_of(store, config.name, FIRST).values()]
    assert sum(attempts) <= 6  # two of one target may be begun by both in the same moment


def test_a_driver_that_is_told_to_end_does_so_and_the_next_goes_on(
    tmp_path: Path, nla: Callable[[str], NlaDirs]
) -> None:
    config = sweep_config(tmp_path, nla("qwen2"))
    driver = command(config, tmp_path)
    tables = Path(config.root) / "tables" / "explanations"
    while not list(tables.rglob("unit=*.parquet")):
        assert driver.poll() is None, driver.communicate()
        time.sleep(0.02)
    driver.send_signal(signal.SIGTERM)
    _, errors = driver.communicate(timeout=60)
    assert driver.returncode == 143 and "Traceback" not in errors, errors
    ended = run_sweep(config, FIRST)
    assert [one.state for one in ended.results] == ["done"] * 4
    sound(f"{config.root}/tables")
