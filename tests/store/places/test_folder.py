"""A local folder that is full or not to be written to: one line, and nothing half done stays."""

from __future__ import annotations

import os
import pickle
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nla_ray.errors import InputError
from nla_ray.store import connect, open_run, open_store, verify
from tests.store.rows import RECORD, plan_of, rows_of

FULL = "free some space or name another output; units that are written stay, and running again continues"


@contextmanager
def files_up_to(n: int) -> Iterator[None]:
    """No file of this process can grow beyond `n` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB, where this process may mount one."""
    mount = shutil.which("mount")
    command = [str(mount), "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(tmp_path)]
    if mount is None or os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a file system")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def everything(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_a_full_disk_keeps_what_was_written(small_disk: Path) -> None:
    run = open_run(open_store(small_disk / "tables"), plan_of())
    run.write("u0", rows_of("u0"))
    before = everything(small_disk)
    noise = os.urandom(2**19).hex()
    with pytest.raises(InputError, match=f"u1.parquet: No space left on device; {FULL}"):
        run.write("u1", rows_of("u1", says=noise))
    assert everything(small_disk) == before
    for unit_id in run.missing():
        run.write(unit_id, rows_of(unit_id))
    run.commit(RECORD)
    assert verify(small_disk / "tables") == []


def test_a_file_that_may_not_grow_is_not_left_half_written(tmp_path: Path) -> None:
    store = open_store(tmp_path / "tables")
    store.put_new("t/small", b"small")
    with files_up_to(10_000), pytest.raises(InputError, match=f"t/large: File too large; {FULL}"):
        store.put_new("t/large", bytes(20_000))
    assert everything(tmp_path) == {tmp_path / "tables" / "t" / "small"}


def test_a_cache_that_is_full(s3: str) -> None:
    run = open_run(open_store(s3), plan_of(units=1))
    run.write("u0", rows_of("u0"))
    run.commit(RECORD)
    with files_up_to(100), pytest.raises(InputError, match="cannot keep a local copy: File too large; name"):
        connect(s3)
    assert connect(s3).sql("SELECT count(*) FROM all_explanations").fetchall() == [(4,)]


def test_free_space_is_that_of_the_disk_even_before_the_folder_is_there(small_disk: Path) -> None:
    store = open_store(small_disk / "a" / "b")
    assert store.free() == 256 * 1024
    store.put_new("file", bytes(100_000))
    left = store.free()
    assert left is not None and 100_000 < left < 160_000


def test_nobody_can_tell_the_free_space_of_a_bucket(s3: str) -> None:
    assert open_store(s3).free() is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_to(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="Permission denied; check the permissions there"):
        open_store(tmp_path / "tables").probe()


def test_a_folder_is_the_same_in_a_process_that_works_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("tables")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    pickle.loads(pickle.dumps(store)).put_new("file", b"content")  # noqa: S301
    assert (tmp_path / "tables" / "file").read_bytes() == b"content"


def test_a_place_where_no_folder_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "gone").symlink_to(tmp_path / "nothing")
    for name in (Path("/proc/nla"), tmp_path / "gone"):
        with pytest.raises(InputError, match=str(name)):
            open_store(name).probe()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="has no file system that takes no files")
def test_where_nothing_can_be_written_there_is_no_room() -> None:
    with pytest.raises(InputError, match="/proc/nope: cannot be written"):
        open_store("/proc/nope").require_room(1)
