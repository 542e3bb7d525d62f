"""What a week would cost: recorded, measured or estimated, and said which."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nla_ray.config.decode import DecodeConfig
from nla_ray.errors import InputError
from nla_ray.pipelines.sweep import plan as planning
from nla_ray.pipelines.sweep.place import open_place
from nla_ray.pipelines.sweep.plan import plan_sweep
from nla_ray.pipelines.sweep.run import run_sweep
from nla_ray.store.places.folder import FolderStore
from tests.conftest import NlaDirs
from tests.decoded import sound
from tests.nla.preflight.pairs import edit_sidecar
from tests.sweeps import WEEKS, sweep_config

FIRST, SECOND = WEEKS
ONE_MODEL = ["tuned/notes", "tuned/chats"]


def test_a_speed_is_estimated_then_measured_then_recorded(
    tmp_path: Path, nla: Callable[[str], NlaDirs]
) -> None:
    config = sweep_config(tmp_path, nla("qwen2"), leave_out=ONE_MODEL, budget={"price": 3600})
    place = open_place(config, FIRST)
    guessed = plan_sweep(place, measure=False)
    assert {one.basis for one in guessed.cells} == {"estimated"} and guessed.guessed()
    assert not Path(config.root).exists()
    assert (guessed.vectors, guessed.cells[0].units, guessed.cells[0].documents) == (16, 2, 4)
    assert guessed.cells[0].tokens and guessed.gpu_hours == 0 and (guessed.cost or 0) > 0

    measured = plan_sweep(place, measure=True)
    assert [(one.basis, one.done_units, one.cost == 0) for one in measured.cells] == [
        ("measured", 2, True),
        ("measured", 0, False),
    ]
    assert f"measured in {FIRST} on 2 units of base.L2.notes" in measured.cells[1].assumption
    assert (measured.cost or 0) > (guessed.cost or 0)
    for measure in (False, True):
        again = plan_sweep(place, measure=measure)
        assert [one.done_units for one in again.cells] == [2, 0], "nothing more is decoded to measure it"
        assert again.cells[1].assumption == measured.cells[1].assumption
        assert again.cost == pytest.approx(measured.cost)

    ended = run_sweep(config, FIRST)
    sound(f"{config.root}/tables")
    assert plan_sweep(place, measure=False).cost == 0
    later = plan_sweep(open_place(config, SECOND), measure=False)
    assert {one.basis for one in later.cells} == {"recorded"} and not later.guessed()
    # The newest cell of the model tells what a vector costs; of two units one is there already.
    assert (later.cells[0].units, later.cells[0].reused_units) == (2, 1)
    assert later.cells[0].cost == pytest.approx((ended.results[0].cost or 0) / 2)


def test_a_cell_that_crashes_while_it_is_planned_is_a_state_of_the_cell(
    tmp_path: Path,
    nla: Callable[[str], NlaDirs],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = sweep_config(tmp_path, nla("qwen2"), leave_out=ONE_MODEL)
    real = planning.plan

    def plan(decoding: DecodeConfig, *, keep: bool) -> Any:
        if "chats" in str(decoding.corpus.paths):
            raise KeyError("planted")
        return real(decoding, keep=keep)

    monkeypatch.setattr(planning, "plan", plan)
    made = plan_sweep(open_place(config, FIRST), measure=False)
    assert [(one.state, one.exit) for one in made.cells] == [("to do", 0), ("failed", 1)]
    assert "KeyError: 'planted'" in str(made.cells[1].reason) and made.exit == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_cell_whose_corpus_is_not_there_is_planned_as_missing(
    tmp_path: Path, nla: Callable[[str], NlaDirs]
) -> None:
    config = sweep_config(tmp_path, nla("qwen2"), leave_out=ONE_MODEL)
    (tmp_path / "in/notes" / f"{FIRST}.jsonl").unlink()
    made = plan_sweep(open_place(config, FIRST), measure=False)
    missing, other = made.cells
    assert made.exit == 7 and (missing.state, missing.exit, other.state) == ("missing", 7, "to do")
    assert "no such corpus file" in str(missing.reason)


def test_a_speed_without_gpus_says_nothing_of_work_on_them(
    tmp_path: Path, nla: Callable[[str], NlaDirs], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = sweep_config(tmp_path, nla("qwen2"), leave_out=ONE_MODEL)
    place = open_place(config, FIRST)
    plan_sweep(place, measure=True)
    assert {one.basis for one in plan_sweep(place).cells} == {"done", "measured"}
    assert planning.kept(place, "base", gpus=True) is None
    results = run_sweep(config, FIRST).results
    assert planning.recorded(list(results), "base", gpus=False) is not None
    assert planning.recorded(list(results), "base", gpus=True) is None
    monkeypatch.setattr(planning, "on_gpus", lambda ready: True)
    assert {one.basis for one in plan_sweep(open_place(config, SECOND)).cells} == {"estimated"}


def test_a_speed_that_cannot_be_read_stops_no_plan(tmp_path: Path, nla: Callable[[str], NlaDirs]) -> None:
    config = sweep_config(tmp_path, nla("qwen2"), leave_out=ONE_MODEL)
    place = open_place(config, FIRST)
    plan_sweep(place, measure=True)
    [speed] = Path(config.root).rglob("speeds/*/*/*.json")
    speed.write_text("{")
    made = plan_sweep(place)
    assert made.exit == 0 and [one.basis for one in made.cells] == ["done", "estimated"]


def test_who_may_not_write_can_plan(
    tmp_path: Path, nla: Callable[[str], NlaDirs], monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(store: FolderStore, key: str, data: bytes) -> bool:
        raise InputError(f"{store.url}/{key}: denied")

    monkeypatch.setattr(FolderStore, "put_new", denied)
    made = plan_sweep(open_place(sweep_config(tmp_path, nla("qwen2"), leave_out=ONE_MODEL), FIRST), keep=True)
    assert made.exit == 0 and {one.basis for one in made.cells} == {"estimated"}


def test_a_pair_whose_injection_nothing_tells_has_its_layer_and_is_told_where_to_say_it(
    tmp_path: Path, nla: Callable[[str], NlaDirs]
) -> None:
    config = sweep_config(tmp_path, nla("qwen2"), leave_out=ONE_MODEL)
    edit_sidecar(tmp_path / "av", extraction={"norm": "none"})
    untold = plan_sweep(open_place(config, FIRST), measure=False).cells[0]
    assert untold.cell.layer == 2 and untold.exit == 2
    assert "as models.injection (of a sweep as the target's injection)" in str(untold.reason)
    targets = [one.model_copy(update={"injection": "add_matched@output:1"}) for one in config.targets]
    told = config.model_copy(update={"targets": tuple(targets)})
    assert plan_sweep(open_place(told, FIRST), measure=False).cells[0].state == "to do"
