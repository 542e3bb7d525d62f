"""Leases: who works on a cell is advised by a lease that ends; a damaged one counts as none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from nla_ray.fleet.layout import lease_key
from nla_ray.fleet.lease import Lease, Leases, get_lease
from nla_ray.store import open_store
from tests.fleet.test_results import cell


class Clock:
    """A time that moves when it is told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def lease_of(folder: Path) -> Lease:
    found = get_lease(open_store(folder), cell())
    assert found is not None
    return found


def test_a_cell_is_taken_once_until_its_lease_ends_or_is_given_back(tmp_path: Path) -> None:
    clock = Clock()
    ours, theirs = (
        Leases(open_store(tmp_path), owner=name, ttl_s=100, now=clock) for name in ("ours", "theirs")
    )
    assert ours.take(cell()) and ours.take(cell()) and not theirs.take(cell())
    clock.pass_by(101)
    assert theirs.take(cell()) and lease_of(tmp_path).owner == "theirs"
    theirs.release(cell())
    assert not lease_of(tmp_path).live(clock()) and ours.take(cell())


def test_a_held_lease_is_renewed_and_tells_how_far_its_cell_is(tmp_path: Path) -> None:
    with Leases(open_store(tmp_path), ttl_s=0.4) as leases:
        leases.take(cell())
        first = lease_of(tmp_path)
        leases.tell(cell(), doing="decoding", units=3, of_units=8)
        while (now := lease_of(tmp_path)).expires <= first.expires:
            pass
        assert (now.doing, now.units, now.of_units) == ("decoding", 3, 8)
        assert now.last_unit > first.last_unit
    assert not lease_of(tmp_path).live(datetime.now(UTC))


def test_the_lease_of_a_wrong_clock_holds_nobody_up(tmp_path: Path) -> None:
    clock, fast = Clock(), Clock()
    fast.pass_by(86_400)
    assert Leases(open_store(tmp_path), owner="fast", now=fast).take(cell())
    assert Leases(open_store(tmp_path), owner="ours", now=clock).take(cell())


def test_a_time_without_a_zone_makes_no_lease() -> None:
    moment = datetime(2026, 11, 30)
    with pytest.raises(ValidationError):
        Lease(owner="x", expires=moment, since=moment, last_unit=moment)


def test_a_damaged_lease_is_none_and_a_place_that_cannot_be_written_to_does_no_harm(tmp_path: Path) -> None:
    store = open_store(tmp_path / "here")
    store.put_new(lease_key("s", cell().week, cell().pair), b"{")
    assert get_lease(store, cell()) is None
    (tmp_path / "file").write_text("")
    assert Leases(open_store(tmp_path / "file")).take(cell())
