"""Drivers and workers are killed in mid-run; the same command again goes on to the rows of a calm run."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch
import yaml

from nla_ray.config.decode import DecodeConfig
from nla_ray.config.loading.load import load
from nla_ray.pipelines.decode.run import decode
from nla_ray.store import verify
from tests.cli.conftest import Invoke, invoke  # noqa: F401 (fixture)
from tests.decoded import Row, record_of, rows_of, runs_of, same_rows, select, snapshot, sound
from tests.runtime.processes import WORKER, Job, Process, family, gone, job, wait_until

UNITS = 6
VIEWS = ("all_explanations", "documents", "failures")


def demo(folder: Path, runner: str) -> Path:
    """The config of a decode of a few demo documents in small units."""
    values = {
        "output": str(folder / "tables"),
        "models": {"target": "demo:target", "av": "demo:av", "ar": "demo:ar"},
        "corpus": {"paths": ["demo:corpus"], "text": "text", "messages": "messages", "id": "id",
                   "meta": ["truth"], "limit": 2 * UNITS, "unit_documents": 2},
        "positions": {"choose": "random", "n": 4},
        "controls": {"shuffled": 0.5, "random": 0.5, "mean": 0.5, "none": 0.5},
        "sampling": {"samples": 2, "max_new_tokens": 64}, "prove": False,
        "runner": {"name": runner, "address": "local", "pool": {"threads": torch.get_num_threads()}},
    }  # fmt: skip
    (folder / "decode.yaml").write_text(yaml.safe_dump(values))
    return folder / "decode.yaml"


def written(folder: Path) -> int:
    """Units that are there."""
    return len(list(folder.glob("tables/explanations/*/unit=*.parquet")))


def more_than(folder: Path, units: int, running: Job) -> None:
    """Return once a job has written more units, with some still to come."""
    wait_until(lambda: written(folder) > units, f"unit {units + 1}", running)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Row]]:
    """The rows of an undisturbed run in this process."""
    folder = tmp_path_factory.mktemp("calm")
    config = load(DecodeConfig, demo(folder, "local"), ())
    decode(config)
    return {view: rows_of(config.output, view) for view in VIEWS}


def as_if_nothing_had_happened(folder: Path, calm: dict[str, list[Row]]) -> None:
    tables = str(folder / "tables")
    sound(tables)
    (run,) = select(tables, "FROM runs SELECT units, rows, quarantined")
    assert run == {"units": UNITS, "rows": len(calm["all_explanations"]), "quarantined": 0}
    for view in VIEWS:
        same_rows(rows_of(tables, view), calm[view], within=1e-5)


@pytest.mark.slow
def test_a_driver_that_is_killed_twice(
    tmp_path: Path,
    calm: dict[str, list[Row]],
    invoke: Invoke,  # noqa: F811
) -> None:
    config = demo(tmp_path, "local")
    for at_least in (0, 2):
        with job(config) as running:
            more_than(tmp_path, max(at_least, written(tmp_path)), running)
            running.killed()
        assert written(tmp_path) < UNITS
        assert [problem.kind for problem in verify(tmp_path / "tables") if problem.kind != "stray"] == [
            "unfinished"
        ]
    before = snapshot(tmp_path / "tables")
    refused = invoke("decode", config, "seed=1").refused()
    assert "holds another plan" in refused and "config.seed (0 there, 1 here)" in refused
    assert snapshot(tmp_path / "tables") == before
    with job(config) as running:
        assert running.ended() == 0, running.said()
    assert f"{len(units_in(before))}/{UNITS} units" in running.said()
    as_if_nothing_had_happened(tmp_path, calm)
    after = snapshot(tmp_path / "tables")
    assert {name: after[name] for name in units_in(before)} == units_in(before), "what is written stays"
    record = record_of(tmp_path / "tables")
    assert record["attempt"]["units"] == UNITS - len(units_in(before))
    assert record["documents"] == 2 * UNITS and sum(record["outcomes"]["real"].values()) == 2 * UNITS * 4 * 2


def units_in(files: dict[str, tuple[int, bytes]]) -> dict[str, tuple[int, bytes]]:
    """Those of the files that are finished units."""
    return {name: was for name, was in files.items() if name.startswith("explanations/") and "/unit=" in name}


@pytest.mark.slow
def test_a_driver_with_its_cluster_and_then_workers_are_killed(
    tmp_path: Path, calm: dict[str, list[Row]]
) -> None:
    config = demo(tmp_path, "ray")
    with job(config) as running:
        more_than(tmp_path, 0, running)
        orphans = running.killed()
    before = written(tmp_path)
    assert 0 < before < UNITS and runs_planned(tmp_path) == 1
    with job(config) as running:
        more_than(tmp_path, before, running)
        killed = workers(running)
        for worker in killed:
            os.kill(worker.pid, signal.SIGKILL)
        assert killed and written(tmp_path) < UNITS
        below = family(running.popen.pid)
        assert running.ended() == 0, running.said()
    gone([*orphans, *below])
    as_if_nothing_had_happened(tmp_path, calm)
    assert len(runs_of(tmp_path / "tables")) == 1


def workers(running: Job) -> list[Process]:
    """The processes of a job's actors."""
    return [one for one in family(running.popen.pid) if one.title().startswith(WORKER)]


def runs_planned(folder: Path) -> int:
    return len(list(folder.glob("tables/plans/*.json")))
