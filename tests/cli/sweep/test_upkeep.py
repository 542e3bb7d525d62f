"""`nla-ray sweep abandon | gc | compact`: what they print, and the codes they leave with."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from nla_ray.errors import Exit
from nla_ray.store import open_store, verify
from tests.cli.conftest import Invoke
from tests.store.upkeep.conftest import begun, committed, write


@pytest.fixture
def tables(tmp_path: Path) -> str:
    """A committed run and one under way."""
    place = str(tmp_path / "tables")
    committed(place, "run1")
    write(begun(place, "run2"), "u0")
    return place


def test_a_run_is_abandoned_and_its_files_are_listed_and_removed(tables: str, invoke: Invoke) -> None:
    done = invoke("sweep", "abandon", tables, "run2", "--because", "older code")
    assert done.code == 0 and "run run2 is abandoned since" in done.out
    listed = invoke("sweep", "gc", tables, "--days", "0")
    assert "3 objects" in listed.out and "found; remove with --yes" in listed.out
    assert [problem.kind for problem in verify(tables)] == ["abandoned"] * 3
    removed = json.loads(invoke("sweep", "gc", tables, "--days", "0", "--yes", "--json").out)
    assert removed["removed"] and {one["kind"] for one in removed["objects"]} == {"abandoned"}
    assert verify(tables) == []


def test_what_cannot_be_abandoned_is_one_line(tables: str, invoke: Invoke) -> None:
    assert "run run1 is committed" in invoke("sweep", "abandon", tables, "run1").refused()
    assert "no plan of run run9" in invoke("sweep", "abandon", tables, "run9").refused(Exit.MISSING)


def test_all_runs_are_compacted_and_the_small_files_stay_for_a_while(tables: str, invoke: Invoke) -> None:
    assert " bytes in 3 files, before in 7" in invoke("sweep", "compact", tables).out
    assert "nothing to compact" in invoke("sweep", "compact", tables).out
    (one,) = json.loads(invoke("sweep", "compact", tables, "run1", "--json").out)
    assert (one["files_before"], one["files_after"]) == (7, 3)
    assert "0 objects, 0 bytes found" in invoke("sweep", "gc", tables, "--days", "0").out


def test_a_run_that_stands_still_is_abandoned_first(tables: str, invoke: Invoke) -> None:
    store = open_store(tables)
    assert "0 objects" in invoke("sweep", "gc", tables, "--abandon-days", "1").out
    then = time.time() - 3 * 86_400
    for one in store.entries(""):
        os.utime(Path(tables) / one.key, (then, then))
    given_up = invoke("sweep", "gc", tables, "--abandon-days", "2", "--yes").out
    assert "stale" in given_up and "0 objects, 0 bytes removed; runs abandoned: 1" in given_up
    assert {problem.kind for problem in verify(tables)} == {"abandoned"}
