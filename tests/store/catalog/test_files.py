"""A run's files as columns: what was written is read, and a list cannot lead anywhere else."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pytest

from nla_ray.errors import InputError
from nla_ray.store import connect, open_run, open_store, verify
from nla_ray.store.catalog.files import FileList, FileRecord, StoredFile
from nla_ray.store.runs.layout import commit_key, compacted_key, list_key, unit_key
from nla_ray.store.runs.manifest import files_of, get_manifest
from nla_ray.store.runs.unit_file import to_bytes
from nla_ray.tables import FILES
from tests.store.old import make_old
from tests.store.rows import RECORD, plan_of, rows_of
from tests.store.tampering import Spoil, edited, flipped, gone, replace

DIGEST = "ab" * 32
MERGED = compacted_key("explanations", "run1", DIGEST)


def record(unit: str, key: str | None = None, **more: object) -> FileRecord:
    fixed = {"key": key or unit_key("explanations", "run1", unit), "unit_id": unit}
    return FileRecord(**fixed | {"sha256": DIGEST, "bytes": 9, "rows": 4} | more)  # type: ignore[arg-type]


def read(files: FileList) -> FileList:
    return FileList.read("run1", pa.py_buffer(files.to_bytes()), "list")


def test_a_list_that_was_written_is_read() -> None:
    beside = record("u1", unit_key("documents", "run1", "u1"), rows=1)
    files = FileList.of("run1", [record("u2", quarantined=1), record("u1", beside=(beside,))])
    found = read(files)
    assert list(found.records()) == [beside, record("u1"), record("u2", quarantined=1)]
    assert found.units("explanations").to_pylist() == ["u1", "u2"] and found.same_as(files)


def test_equal_lists_are_equal_bytes() -> None:
    one, other = record("u1"), record("u2")
    assert FileList.of("run1", [one, other]).to_bytes() == FileList.of("run1", [other, one]).to_bytes()


def test_a_file_of_several_units_is_read_once() -> None:
    files = read(FileList.of("run1", [record("u1", MERGED), record("u2", MERGED), record("u3")]))
    own = unit_key("explanations", "run1", "u3")
    assert files.objects(["explanations"])["explanations"] == [
        StoredFile(MERGED, DIGEST, 9),
        StoredFile(own, DIGEST, 9),
    ]
    assert [(file.unit_id, file.key) for file in files.records()] == [
        ("u1", MERGED),
        ("u2", MERGED),
        ("u3", own),
    ]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("key", "../../secret.parquet", "no file of run run1 in explanations"),
        ("key", "/etc/passwd", "no file of run run1"),
        ("key", f"explanations/run_id=run1/../{DIGEST}.parquet", "no file of run run1"),
        ("key", unit_key("explanations", "run2", "u1"), "no file of run run1"),
        ("key", unit_key("documents", "run1", "u1"), "no file of run run1 in explanations"),
        ("key", "plans/run1.json", "no file of run run1"),
        ("unit_id", "../../../etc/passwd", "cannot be a unit_id"),
        ("unit_id", "u1\n", "cannot be a unit_id"),
        ("table_name", "..", "cannot be a table_name"),
    ],
)
def test_a_planted_name_is_refused(column: str, value: str, message: str) -> None:
    rows = FileList.of("run1", [record("u1"), record("u2")]).rows.to_pylist()
    rows[1][column] = value
    planted = to_bytes(pa.Table.from_pylist(rows, schema=FILES), {})
    with pytest.raises(InputError, match=message):
        FileList.read("run1", pa.py_buffer(planted), "list")


@pytest.mark.parametrize("data", [b"", b"PAR1", to_bytes(rows_of("u1"), {})])
def test_what_is_no_list_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match=r"^list: (is no list of files|has other columns)"):
        FileList.read("run1", pa.py_buffer(data), "list")


def committed(place: str) -> str:
    """A committed run; returns the key of its list."""
    run = open_run(open_store(place), plan_of())
    manifest = run.commit(RECORD, [run.write(unit, rows_of(unit)) for unit in run.missing()])
    return list_key("run1", manifest.files_sha256 or "")


@pytest.mark.parametrize("spoil", [flipped, gone])
def test_a_list_that_is_not_the_committed_one_is_not_read(place: str, spoil: Spoil) -> None:
    key = committed(place)
    replace(place, key, spoil(open_store(place).get(key)))
    with pytest.raises(InputError, match=r"content changed|list of a committed run's files and missing"):
        connect(place)
    assert [("corrupt", key)] == [(one.kind, one.subject) for one in verify(place)]


def test_a_list_is_the_one_that_the_manifest_names(place: str) -> None:
    """A forger who exchanges list and digest is found by the chain; here by the sums."""
    committed(place)
    store = open_store(place)
    stored = get_manifest(store, "run1")
    assert stored is not None
    files = files_of(store, stored.manifest)
    less = FileList("run1", files.rows.slice(1)).to_bytes()
    sha256 = hashlib.sha256(less).hexdigest()
    replace(place, list_key("run1", sha256), less)
    head = store.get(commit_key("run1"))
    replace(place, commit_key("run1"), edited(files_sha256=sha256)(head))
    assert ("rows", commit_key("run1")) in {(one.kind, one.subject) for one in verify(place)}


def test_tables_of_the_first_version_are_read(place: str) -> None:
    committed(place)
    before = connect(place).sql("FROM all_explanations ORDER BY ALL").fetchall()
    runs = connect(place).sql("SELECT units, rows, bytes, record FROM runs").fetchall()
    make_old(place, "run1")
    assert connect(place).sql("FROM all_explanations ORDER BY ALL").fetchall() == before
    assert connect(place).sql("SELECT units, rows, bytes, record FROM runs").fetchall() == runs
    assert verify(place) == []


def test_a_run_that_the_first_version_committed_stays(tmp_path: Path) -> None:
    place = str(tmp_path)
    committed(place)
    make_old(place, "run1")
    store = open_store(place)
    before = store.entries("")
    again = open_run(store, plan_of()).commit(RECORD)
    assert again.version == 1 and store.entries("") == before


@pytest.mark.parametrize("key", ["../../x.parquet", unit_key("explanations", "run2", "u0")])
def test_a_key_planted_in_an_old_manifest_is_refused(tmp_path: Path, key: str) -> None:
    place = str(tmp_path)
    committed(place)
    make_old(place, "run1")
    store = open_store(place)
    old = store.get(commit_key("run1"))
    first = unit_key("explanations", "run1", "u0")
    replace(place, commit_key("run1"), old.replace(f'"{first}"'.encode(), f'"{key}"'.encode()))
    with pytest.raises(InputError, match=r"commits/run1.json: names "):
        connect(place)
