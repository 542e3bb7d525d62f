"""The status of a week from storage alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nla_ray.fleet.cells import Cell
from nla_ray.fleet.layout import lease_key, week_key
from nla_ray.fleet.lease import Lease
from nla_ray.fleet.objects import encoded, put_object
from nla_ray.fleet.results import Attempt, CellResult, Week, put_attempt, put_result, put_run
from nla_ray.fleet.status import SweepStatus, status_of
from nla_ray.store import open_store
from nla_ray.store.places.objects import Store
from nla_ray.store.places.tree import Tree

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
WEEK = "2026-W48"
CORPORA = ("done", "running", "stuck", "dead", "failed", "missing", "decoded", "again", "left")


def cell(corpus: str) -> Cell:
    return Cell(sweep="s", week=WEEK, model="m", corpus=corpus, layer=3)


def leased(store: Store, corpus: str, *, expires_s: float, idle_s: float, units: int) -> None:
    since = NOW - timedelta(seconds=100)
    lease = Lease(
        owner="x", expires=NOW + timedelta(seconds=expires_s), since=since, doing="decoding", run_id="r",
        last_unit=NOW - timedelta(seconds=idle_s), units=units, of_units=20,
        before=5, gpu_seconds=360, cost=2.0,
    )  # fmt: skip
    put_attempt(store, Attempt(cell=cell(corpus), who="x", started="t"))
    Tree(store.url).write(lease_key("s", WEEK, cell(corpus).pair), encoded(lease))


@pytest.fixture
def status(tmp_path: Path) -> SweepStatus:
    """A week with a cell in every state."""
    store = open_store(tmp_path)
    week = Week(sweep="s", week=WEEK, config={}, cells=tuple(map(cell, CORPORA)))
    put_object(store, week_key("s", WEEK), week)
    made = CellResult(
        cell=cell("done"), state="done", units=20, run_id="d", proof="proven", gpu_seconds=3600, cost=5.0
    )
    put_result(store, made, 1)
    put_result(store, CellResult(cell=cell("failed"), state="failed", reason="why", exit=2), 1)
    put_result(store, CellResult(cell=cell("missing"), state="missing", exit=7), 1)
    put_run(store, made.model_copy(update={"cell": cell("decoded")}), 1)
    leased(store, "running", expires_s=60, idle_s=10, units=15)
    leased(store, "stuck", expires_s=60, idle_s=99, units=15)
    leased(store, "dead", expires_s=-1, idle_s=10, units=15)
    put_run(store, made.model_copy(update={"cell": cell("again")}), 1)
    put_result(store, CellResult(cell=cell("again"), state="failed", reason="audit: why", exit=2), 1)
    leased(store, "again", expires_s=60, idle_s=10, units=5)
    return status_of(store, "s", WEEK, NOW, stalled_after_s=50)


def test_every_cell_has_a_state(status: SweepStatus) -> None:
    states = {one.cell.corpus: one.state for one in status.cells}
    assert states == {
        "done": "done", "running": "running", "stuck": "stalled", "dead": "stalled", "failed": "failed",
        "missing": "missing", "decoded": "left", "again": "running", "left": "left",
    }  # fmt: skip
    assert status.counts == {"done": 1, "running": 2, "stalled": 2, "failed": 1, "missing": 1, "left": 2}
    said = {one.cell.corpus: one.doing for one in status.cells}
    assert (said["failed"], said["dead"]) == ("why", "nobody works on it")
    proofs = {one.cell.corpus: one.proof for one in status.cells}
    assert (proofs["done"], proofs["decoded"], proofs["failed"], proofs["left"]) == (
        "proven",
        "proven",
        None,
        None,
    )


def test_the_week_is_summed_up(status: SweepStatus) -> None:
    assert (status.units, status.of_units) == (20 + 20 + 3 * 15 + 5, 20 + 20 + 4 * 20)
    assert status.gpu_hours == pytest.approx(2 + 4 * 0.1) and status.cost == 5 + 5 + 4 * 2
    # 10 units in 100 s; 30 are left of begun cells, and two cells of 20.
    assert status.left_s == pytest.approx((30 + 2 * 20) / 0.1)
