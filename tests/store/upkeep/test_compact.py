"""Compacted tables say the same as before, at every step on the way and after the small files are gone."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from nla_ray.errors import InputError
from nla_ray.store import connect, open_store, parquet, verify
from nla_ray.store.places.folder import FolderStore
from nla_ray.store.places.objects import Store
from nla_ray.store.runs.layout import COMPACTIONS, commit_key, compaction_key, unit_key
from nla_ray.store.runs.manifest import get_manifest
from nla_ray.store.upkeep import compact as module
from nla_ray.store.upkeep.collect import Rules, garbage, remove
from nla_ray.store.upkeep.compact import compact, compactable
from nla_ray.store.upkeep.compaction import get_compaction
from nla_ray.store.upkeep.ended import retire
from tests.store.tampering import edited, flipped, replace
from tests.store.upkeep.conftest import committed

NOW = Rules(days=0, compacted_days=0)
VIEWS = ("all_explanations", "documents", "failures", "runs")


def answers(place: str) -> list[object]:
    connection = connect(place)
    return [connection.sql(f"FROM {view} ORDER BY ALL").fetchall() for view in VIEWS]


def problems(place: str) -> set[tuple[str, str]]:
    return {(one.kind, one.subject) for one in verify(place)}


@pytest.fixture
def tables(place: str) -> Store:
    """Two committed runs."""
    for run_id in ("run1", "run2"):
        committed(place, run_id)
    return open_store(place)


def test_the_same_answers_before_and_after_and_once_the_small_files_are_gone(tables: Store) -> None:
    before = answers(tables.url)
    made = compact(tables, "run1")
    assert (made.files_before, made.files_after) == (7, 3) and made.bytes_after > 0
    assert answers(tables.url) == before and problems(tables.url) == set()
    found = garbage(tables, NOW)
    assert {one.kind for one in found} == {"replaced"} and len(found) == 6, (
        "one quarantine file stays as it is"
    )
    assert garbage(tables, Rules(days=0)) == []
    remove(tables, found)
    assert answers(tables.url) == before and problems(tables.url) == set()
    assert tables.entries("explanations/run_id=run1/unit=") == []


def test_every_run_is_compacted_once(tables: Store) -> None:
    assert compactable(tables) == ["run1", "run2"]
    first = [compact(tables, run_id) for run_id in compactable(tables)]
    there = tables.entries("")
    assert compactable(tables) == [] and [compact(tables, one.run_id) for one in first] == first
    assert tables.entries("") == there


def test_files_are_sorted_full_and_as_storage_wants_them(tables: Store) -> None:
    compact(tables, "run1")
    stored = get_compaction(tables, "run1")
    assert stored is not None
    (one,) = [file for file in stored.compaction.files if file.table == "explanations"]
    path = tables.local(one.key, one.sha256)
    rows = pq.read_table(path, page_checksum_verification=True)
    assert rows.num_rows == one.rows == 11
    keys = list(zip(*(rows[name].to_pylist() for name in ("doc_id", "position", "control")), strict=True))
    assert keys == sorted(keys)
    metadata = pq.read_metadata(path)
    assert metadata.row_group(0).column(0).compression == "ZSTD"
    assert metadata.metadata[b"nla_ray.run"] == b"run1"


def test_a_file_is_cut_once_it_is_full(tables: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    before = answers(tables.url)
    monkeypatch.setattr(module, "BATCH_ROWS", 2)
    monkeypatch.setattr(module, "GROUP_ROWS", 2)
    made = compact(tables, "run1", full=100)
    assert made.files_after > 3 and answers(tables.url) == before and problems(tables.url) == set()


def test_a_commit_vouches_for_the_compactions_before_it(tables: Store) -> None:
    compact(tables, "run1")
    committed(tables.url, "run3")
    stored = get_manifest(tables, "run3")
    assert stored is not None and "run1.compacted" in stored.manifest.previous
    key = compaction_key("run1")
    replace(tables.url, key, tables.get(key) + b" ")
    assert problems(tables.url) == {("chain", key)}
    replace(tables.url, key, None)
    assert ("chain", key) in problems(tables.url)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"manifest_sha256": "0" * 64}, "holds the rows of another manifest"),
        ({"version": 9}, "has version 9"),
        (
            {"files": [{"table": "explanations", "key": "../x", "sha256": "0" * 64, "bytes": 1, "rows": 1}]},
            "names",
        ),
        ({"files": 3}, "corrupt: files"),
    ],
)
def test_a_compaction_that_cannot_be_right_is_refused(
    tables: Store, change: dict[str, object], message: str
) -> None:
    compact(tables, "run1")
    key = compaction_key("run1")
    replace(tables.url, key, edited(**change)(tables.get(key)))
    with pytest.raises(InputError, match=message):
        connect(tables.url)
    assert {subject for _, subject in problems(tables.url)} == {key}


def test_a_changed_file_is_found_and_keeps_those_that_it_replaces(tables: Store) -> None:
    compact(tables, "run1")
    stored = get_compaction(tables, "run1")
    assert stored is not None
    key = stored.compaction.files[0].key
    replace(tables.url, key, flipped(tables.get(key)))
    assert problems(tables.url) == {("digest", key)}
    with pytest.raises(InputError, match="its content changed"):
        remove(tables, garbage(tables, NOW))
    replace(tables.url, key, None)
    assert problems(tables.url) == {("missing", key)}
    with pytest.raises(InputError, match="is missing, so the files that it replaces are kept"):
        remove(tables, garbage(tables, NOW))
    assert tables.entries(unit_key("explanations", "run1", "u0"))


def test_merged_files_with_other_rows_than_the_manifest_are_found(tables: Store) -> None:
    compact(tables, "run1")
    key, other = compaction_key("run1"), compaction_key("run2")
    made = json.loads(tables.get(key))
    made["files"] = [one for one in made["files"] if one["table"] != "documents"]
    replace(tables.url, key, json.dumps(made).encode())
    assert ("rows", key) in problems(tables.url) and not tables.entries(other)


@pytest.mark.parametrize("files", [1, parquet.AT_ONCE])
def test_other_rows_are_not_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: int) -> None:
    """However many files are read at once, and although a unit's rows are in several."""
    monkeypatch.setattr(parquet, "AT_ONCE", files)
    names = []
    for name, values in (("a", "1"), ("b", "2"), ("ab", "1), ('u0', 2")):
        path = tmp_path / f"{name}.parquet"
        rows = f"FROM (VALUES ('u0', {values})) AS one (unit_id, value)"
        duckdb.sql(f"COPY ({rows}) TO '{path}' (FORMAT parquet)")
        names.append(path)
    *names, both = names
    with duckdb.connect() as connection:
        assert module.same_rows(connection, names, [both]) and module.same_rows(connection, [both], names)
        assert module.same_rows(connection, names[:1], names[:1])
        for before, after in ((names[:1], names[1:]), (names, names[:1]), (names[:1], names)):
            assert not module.same_rows(connection, before, after)


def test_only_committed_runs_that_are_there_are_compacted(tables: Store) -> None:
    with pytest.raises(InputError, match="only a committed run is compacted"):
        compact(tables, "run9")
    retire(tables, "run1", "replaced")
    with pytest.raises(InputError, match="run1 was retired"):
        compact(tables, "run1")
    assert compactable(tables) == ["run2"]


def test_a_retired_run_takes_its_merged_files_with_it(tables: Store) -> None:
    compact(tables, "run1")
    retire(tables, "run1", "replaced")
    remove(tables, garbage(tables, Rules(days=0)))
    assert [one.key for one in tables.entries("") if "run_id=run1" in one.key] == []
    assert (
        tables.entries(commit_key("run1")) and tables.entries(COMPACTIONS) and problems(tables.url) == set()
    )


class Killed(BaseException):
    """Kills whoever writes after some steps."""


class Dying(FolderStore):
    """A folder whose user is killed after so many changes."""

    left = 0

    def remove(self, key: str) -> None:
        self._step()
        super().remove(key)

    def put_new(self, key: str, data: bytes) -> bool:
        self._step()
        return super().put_new(key, data)

    def _step(self) -> None:
        if self.left == 0:
            raise Killed
        self.left -= 1


@pytest.mark.parametrize("steps", range(10))
def test_a_kill_after_any_write_or_removal_is_harmless(tmp_path: Path, steps: int) -> None:
    for run_id in ("run1", "run2"):
        committed(str(tmp_path), run_id)
    before, store = answers(str(tmp_path)), open_store(tmp_path)
    dying = Dying(tmp_path)
    dying.left, dying.threads = steps, 1
    try:
        compact(dying, "run1")
        remove(dying, garbage(dying, NOW))
        ended = True
    except Killed:
        ended = False
    assert ended == (steps == 9), "two merged files and what names them, then six removals"
    assert answers(str(tmp_path)) == before
    assert {kind for kind, _ in problems(str(tmp_path))} <= {"stray"}, "a merged file that nothing names yet"
    compact(store, "run1")
    remove(store, garbage(store, NOW))
    assert answers(str(tmp_path)) == before and problems(str(tmp_path)) == set()
