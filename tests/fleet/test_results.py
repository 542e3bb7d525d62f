"""Results of cells: the newest attempt counts, the first writer of one wins, what is damaged is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from nla_ray.errors import InputError, NoFileError
from nla_ray.fleet.cells import Cell
from nla_ray.fleet.layout import result_key, run_key, week_key
from nla_ray.fleet.objects import encoded, put_object
from nla_ray.fleet.results import (
    Attempt,
    CellResult,
    Numbers,
    Week,
    begun_week,
    earlier_results,
    numbers_of,
    put_attempt,
    put_result,
    put_run,
    result_of_cell,
    results_of,
    run_of_cell,
    runs_of,
    weeks_of,
)
from nla_ray.store import open_store
from nla_ray.store.places.objects import Store

WEEK = "2026-W48"


def cell(corpus: str = "docs", layer: int | None = 3) -> Cell:
    return Cell(sweep="s", week=WEEK, model="a.b", base="base", corpus=corpus, layer=layer)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A week with two cells, not begun."""
    place = open_store(tmp_path)
    cells = (cell(), cell("chats"))
    put_object(place, week_key("s", WEEK), Week(sweep="s", week=WEEK, config={}, cells=cells))
    return place


def test_a_cell_has_a_name_and_labels() -> None:
    assert (cell().id, cell(layer=None).id) == ("a.b.L3.docs", "a.b.docs")
    assert cell().labels() == {
        "sweep": "s", "week": WEEK, "model": "a.b", "base": "base", "corpus": "docs", "layer": "3",
    }  # fmt: skip
    assert "layer" not in cell(layer=None).labels()


def test_the_newest_result_counts_and_a_cell_without_one_was_not_started(store: Store) -> None:
    begun = Attempt(cell=cell(), who="x", started="t")
    assert (put_attempt(store, begun), put_attempt(store, begun)) == (1, 2)
    assert put_result(store, CellResult(cell=cell(), state="failed"), 1)
    assert not put_result(store, CellResult(cell=cell(), state="done"), 1)
    assert put_run(store, CellResult(cell=cell(), state="done", run_id="r"), 2)
    assert numbers_of(store, "s", WEEK)["a.b", "docs"] == Numbers(attempt=2, run=2, result=1)
    assert numbers_of(store, "s", WEEK, ("a.b", "docs")) == numbers_of(store, "s", WEEK)
    assert result_of_cell(store, "s", WEEK, ("a.b", "docs")) == results_of(store, "s", WEEK)[0]
    assert run_of_cell(store, "s", WEEK, ("a.b", "docs")) == runs_of(store, "s", WEEK)["a.b", "docs"]
    assert result_of_cell(store, "s", WEEK, ("a.b", "chats")) is None
    assert run_of_cell(store, "s", WEEK, ("a.b", "chats")) is None
    assert [one.state for one in results_of(store, "s", WEEK)] == ["failed", "not started"]
    put_result(store, CellResult(cell=cell(), state="done", run_id="r"), 2)
    assert [one.state for one in results_of(store, "s", WEEK)] == ["done", "not started"]
    assert runs_of(store, "s", WEEK)["a.b", "docs"].run_id == "r"


def test_weeks_are_those_that_were_begun(store: Store) -> None:
    Path(store.url, "sweeps/s/weeks/2026-W47").mkdir()
    put_object(store, week_key("s", "2026-W02"), Week(sweep="s", week="2026-W02", config={}, cells=()))
    assert weeks_of(store, "s") == ["2026-W02", WEEK] and weeks_of(store, "other") == []
    with pytest.raises(NoFileError, match="other has no week 2026-W02; sweeps that are here: s; nla-ray"):
        begun_week(store, "other", "2026-W02")
    with pytest.raises(NoFileError, match="sweep s has no week 2026-W03; there are: 2026-W02, 2026-W48"):
        results_of(store, "s", "2026-W03")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xff", "damaged: not a JSON object with a version; restore it"),
        (b"[1]", "damaged: not a JSON object"),
        (b'{"version": 2}', "has version 2, this nla_ray reads 1; upgrade nla_ray"),
        (b'{"version": 1, "state": "done"}', "damaged: cell: Field required; restore it"),
        (encoded(CellResult(cell=cell("chats"), state="done")), "is of the cell a.b.L3.chats"),
    ],
)
def test_a_damaged_or_newer_result_fails_its_cell_alone_and_says_the_way_out(
    store: Store, data: bytes, said: str
) -> None:
    key, run = result_key("s", WEEK, ("a.b", "docs"), 1), run_key("s", WEEK, ("a.b", "docs"), 1)
    for one in (key, run):
        store.put_new(one, data)
    put_result(store, CellResult(cell=cell("chats"), state="done"), 1)
    failed, done = results_of(store, "s", WEEK)
    assert (failed.state, failed.exit, failed.cell, done.state) == ("failed", 2, cell(), "done")
    again = f"nla-ray sweep retry-failed {store.url}#s --week {WEEK}"
    assert all(part in str(failed.reason) for part in (key, said, again))
    decoded = runs_of(store, "s", WEEK)["a.b", "docs"]
    assert decoded.state == "failed" and run in str(decoded.reason)


def test_a_damaged_week_is_named(store: Store) -> None:
    store.put_new(week_key("s", "2026-W01"), b"{")
    with pytest.raises(InputError, match=r"2026-W01/week.json: damaged: not a JSON object"):
        results_of(store, "s", "2026-W01")
    assert earlier_results(store, "s", "2026-W01") == [] and len(earlier_results(store, "s", WEEK)) == 2
