"""`nla-ray sweep`: a week by its configuration or by where its state is, and what is refused in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from nla_ray.fleet.layout import result_key, run_key, week_key
from tests.cli.conftest import Invoke
from tests.conftest import NlaDirs
from tests.sweeps import WEEKS, sweep_config

FIRST, SECOND = WEEKS


@pytest.fixture
def config(tmp_path: Path, nla: Callable[[str], NlaDirs]) -> Path:
    """A sweep of one cell, as a file."""
    made = sweep_config(tmp_path, nla("qwen2"), leave_out=["base/chats", "tuned/chats", "tuned/notes"])
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(made.model_dump(mode="json", exclude_unset=True)))
    return path


def test_a_week_is_planned_run_and_looked_at(config: Path, invoke: Invoke) -> None:
    state = f"{config.parent}/root#small"
    planned = invoke("sweep", "plan", config, "--week", FIRST, "--no-measure", "--json")
    assert planned.code == 0 and json.loads(planned.out)["vectors"] == 8
    ran = invoke("sweep", "run", config, "--week", FIRST)
    assert ran.code == 3 and f"weeks/{FIRST}/report/report.html" in ran.out.replace("\n", "")
    assert "base.L2.notes: decoding, 2/2 units" in ran.out
    status = json.loads(invoke("sweep", "status", state, "--json").out)
    assert (status["week"], status["counts"]["done"], status["units"]) == (FIRST, 1, 2)
    assert (
        invoke("sweep", "status", config).out.splitlines()[-1].startswith(f"small {FIRST}: 1 done; 2/2 units")
    )
    again = invoke("sweep", "resume", state)
    assert again.code == 3 and f"small {FIRST}: nothing to do" in again.out
    told = json.loads(invoke("sweep", "run", config, "--week", FIRST, "--json").out)
    assert (told["worked"], told["exit"], told["results"][0]["state"]) == ([], 3, "done")
    report = invoke("sweep", "report", state, "--json")
    assert report.code == 3 and json.loads(report.out)["cells"][0]["result"]["run_id"]
    assert f"small {FIRST}: nothing to do" in invoke("sweep", "retry-failed", state).out


Spoil = Callable[[Path], Any]


def begun(config: Path, key: str, data: str) -> None:
    path = config.parent / "root" / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(data)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("run", "CONFIG", "--week", "2026-W60"), 2, "--week: '2026-W60' is no ISO week; write it as"),
        (("run", "CONFIG", "--cell", "base/none"), 2, "small has no cell base/none; there are base/notes"),
        (("run", "CONFIG", "--cell", "base.L9.notes"), 2, "no cell base.L9.notes; there are base.L2.notes"),
        (("run", "CONFIG", "sed=1"), 2, "sed: unknown key; did you mean 'seed'?"),
        (("run", "CONFIG", "budget.vectors=7", "--week", FIRST), 9, "would take 8 vectors where 7 are"),
        (("plan", "CONFIG", "budget.vectors=7", "--week", FIRST), 9, "raise the budget, take fewer cells"),
        (("run", "CONFIG", "notify.url_env=NOT_SET_HERE"), 2, "variable NOT_SET_HERE is not set"),
        (("run", "CONFIG", "root=ftp://x/y"), 2, "cannot keep tables at ftp://"),
        (("run", "none.yaml"), 7, "none.yaml: cannot read this configuration file"),
        (("status", "CONFIG"), 7, "sweep small has no week"),
        (("status", "CONFIG", "--week", SECOND), 7, f"has no week {SECOND}; sweeps that are here: none"),
        (("resume", "ROOT#other"), 7, "sweep other has no week"),
        (("resume", "ROOT#small", "seed=1"), 2, "is a sweep as it was begun; seed=1 goes with"),
        (("report", "ROOT#small", "--week", FIRST), 7, "sweep small has no week"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_line_and_nothing_is_begun(
    config: Path, invoke: Invoke, arguments: tuple[str, ...], code: int, said: str
) -> None:
    """What was read of corpora to hold it against a budget may stay; that is a cache."""
    places = {"CONFIG": str(config), "ROOT": f"{config.parent}/root"}
    given = [places.get(one, one) for one in arguments]
    ended = invoke("sweep", *(one.replace("ROOT#", f"{places['ROOT']}#") for one in given))
    errors = [line for line in ended.err.splitlines() if line.startswith("error: ")]
    assert ended.code == code and len(errors) == 1 and said in errors[0]
    files = [path for path in (config.parent / "root").rglob("*.*") if path.is_file()]
    assert all(path.parts[-3:-1] == ("tables", "planning") for path in files) and (code == 9 or not files)


@pytest.mark.parametrize(
    ("key", "data", "said"),
    [
        (
            week_key("small", FIRST),
            "{",
            "damaged: not a JSON object with a version; restore it from a backup",
        ),
        (week_key("small", FIRST), '{"version": 9}', "has version 9, this nla_ray reads 1; upgrade nla_ray"),
    ],
)
def test_a_damaged_state_is_named(config: Path, invoke: Invoke, key: str, data: str, said: str) -> None:
    begun(config, key, data)
    refused = invoke("sweep", "status", config, "--week", FIRST)
    assert refused.code == 2 and key in refused.err and said in refused.err


def test_a_damaged_result_is_told_by_status_and_made_again(config: Path, invoke: Invoke) -> None:
    assert invoke("sweep", "run", config, "--week", FIRST).code == 3
    pair, state = ("base", "notes"), f"{config.parent}/root#small"
    for key in (result_key("small", FIRST, pair, 1), run_key("small", FIRST, pair, 1)):
        begun(config, key, "[]")
    (told,) = json.loads(invoke("sweep", "status", state, "--json").out)["cells"]
    assert told["state"] == "failed" and "damaged: not a JSON object" in told["doing"]
    page = invoke("sweep", "report", state)
    assert page.code == 2 and "0 of 1 cell could be read" in page.out
    again = invoke("sweep", "retry-failed", state)
    assert again.code == 3 and "worked on 1 cells" in again.out
    for n in (1, 2):
        (config.parent / "root" / result_key("small", FIRST, pair, n)).unlink()
    begun(config, run_key("small", FIRST, pair, 2), "[]")
    (told,) = json.loads(invoke("sweep", "status", state, "--json").out)["cells"]
    assert told["state"] == "failed" and "run-2.json" in told["doing"]
    assert invoke("sweep", "resume", state).code == 3


def test_a_plan_ends_with_the_code_of_a_cell_that_cannot_be_planned(config: Path, invoke: Invoke) -> None:
    for path in (config.parent / "in/notes").iterdir():
        path.unlink()
    planned = invoke("sweep", "plan", config, "--week", FIRST, "--json")
    assert planned.code == 7 and json.loads(planned.out)["cells"][0]["state"] == "missing"


def test_a_root_that_cannot_be_written_is_noticed_before_anything_is_planned(
    config: Path, invoke: Invoke
) -> None:
    begun(config, "tables", "a file where the tables should be")
    refused = invoke("sweep", "run", config, "--week", FIRST, "budget.vectors=99")
    assert refused.code == 2 and "planning" not in refused.out and "root/tables" in refused.err


def test_a_configuration_that_holds_a_secret_is_refused_without_showing_it(
    config: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTED_TOKEN", "planted-sweep-77e0")
    refused = invoke(
        "sweep", "run", config, "--week", FIRST, "sample.key=planted-sweep-77e0", "sample.vectors=4"
    )
    assert refused.code == 2 and "error: sample: holds a secret, which the sweep would store" in refused.err
    assert "planted-sweep" not in refused.err + refused.out and not (config.parent / "root").exists()


def test_a_week_of_another_version_is_named(config: Path, invoke: Invoke) -> None:
    week = {"version": 1, "sweep": "small", "week": FIRST, "config": {"later": 1}, "cells": []}
    begun(config, week_key("small", FIRST), json.dumps(week))
    for arguments in (("resume", f"{config.parent}/root#small"), ("run", config, "--week", FIRST)):
        refused = invoke("sweep", *arguments)
        assert refused.code == 2 and week_key("small", FIRST) in refused.err
        assert "go on with the version that began the week" in refused.err


def test_a_report_of_a_week_with_a_crash_ends_as_one(config: Path, invoke: Invoke) -> None:
    cell = {"sweep": "small", "week": FIRST, "model": "base", "corpus": "notes", "layer": 2}
    week = {"version": 1, "sweep": "small", "week": FIRST, "config": {}, "cells": [cell]}
    begun(config, week_key("small", FIRST), json.dumps(week))
    crashed = {"version": 1, "cell": cell, "state": "failed", "reason": "KeyError: 'x'", "exit": 1}
    begun(config, result_key("small", FIRST, ("base", "notes"), 1), json.dumps(crashed))
    ended = invoke("sweep", "report", config, "--week", FIRST)
    page = config.parent / "root" / f"sweeps/small/weeks/{FIRST}/report/report.json"
    assert ended.code == 1 and json.loads(page.read_text())["state"] == "crashed"
