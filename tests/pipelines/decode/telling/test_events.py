"""Events of a run: what befell it, in order, beside its tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from nla_ray.errors import InputError, UnreachableError
from nla_ray.pipelines.decode.planning import Decode
from nla_ray.pipelines.decode.run import decode, stages_of
from nla_ray.pipelines.decode.telling import events as module
from nla_ray.pipelines.decode.telling.events import Events
from nla_ray.stages.stage import Stage
from nla_ray.store import verify
from nla_ray.store.places.folder import FolderStore
from nla_ray.store.places.objects import Store
from tests.runtime.conftest import Make, make  # noqa: F401 (fixture)
from tests.runtime.processes import wait_until
from tests.runtime.stages import Faulty


def told(tables: str | Path) -> list[dict[str, Any]]:
    """All events below a place, in the order of their parts."""
    parts = sorted(Path(tables, "events").rglob("*.jsonl"))
    return [json.loads(line) for part in parts for line in part.read_text().splitlines()]


def test_a_run_tells_its_units_its_faults_and_its_end(make: Make, tmp_path: Path) -> None:  # noqa: F811
    config = make("local", max_failed_fraction=0.5)

    def stages(ready: Decode, store: Store) -> Sequence[Stage]:
        extract, verbalize, *rest = stages_of(ready, store)
        return [extract, Faulty(verbalize, {"doc5": "raise"}, tmp_path / "log"), *rest]

    run = decode(config, stages=stages)
    events = told(config.output)
    names = [one["event"] for one in events]
    assert names[:3] == ["planned", "reused", "begun"] and names[-1] == "committed"
    assert {one["run"] for one in events} == {run.run_id}
    assert names.count("done") == 4 and names.count("isolated") == 2
    assert {one["reason"] for one in events if one["event"] == "failed"} == {
        "RuntimeError: cannot stand doc5"
    }
    assert "retried" in names and all(one["time"].endswith("+00:00") for one in events)
    assert verify(config.output) == []


def test_an_error_is_the_last_event_and_has_its_exit_code(tmp_path: Path) -> None:
    for error, code in ((UnreachableError("gone https://u:p@h/x"), 8), (RuntimeError("secret words"), 1)):
        with pytest.raises(type(error)), Events(FolderStore(tmp_path / str(code)), "r", {"week": "2026-W48"}):
            raise error
        (event,) = told(tmp_path / str(code))
        assert (event["event"], event["exit_code"], event["week"]) == ("error", code, "2026-W48")
        assert "u:p" not in event["message"] and "secret words" not in event["message"]


def test_what_is_told_is_there_before_the_run_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART_S", 0.05)
    with Events(FolderStore(tmp_path), "r") as events:
        for number in range(2):
            events.add("done", unit=str(number))
            wait_until(lambda seen=number: len(told(tmp_path)) > seen, f"event {number}")
    assert [one["unit"] for one in told(tmp_path)] == ["0", "1"]
    assert len(list(tmp_path.rglob("*.jsonl"))) == 2


def test_a_place_that_takes_nothing_costs_the_run_nothing(tmp_path: Path) -> None:
    class Full(FolderStore):
        def put_new(self, key: str, data: bytes) -> bool:
            raise InputError(f"{key}: full")

    with Events(Full(tmp_path), "r") as events:
        events.add("planned")
    assert told(tmp_path) == []
