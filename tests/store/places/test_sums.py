"""A large file is read once, and again as soon as it is another one."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nla_ray.store.places import sums
from nla_ray.store.places.sums import LEAST_BYTES, SETTLED_S, known_sha256

OLD = time.time() - 3600


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that settled before it is looked at."""
    monkeypatch.setenv("NLA_RAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sums, "SETTLED_S", -1.0)
    path = tmp_path / "large"
    path.write_bytes(bytes(LEAST_BYTES))
    os.utime(path, (OLD, OLD))
    return path


def notes(path: Path) -> list[Path]:
    return list((path.parent / "cache").rglob("sums/*"))


def test_a_file_is_read_once_and_a_changed_one_again(large: Path) -> None:
    first = known_sha256(large)
    (note,) = notes(large)
    note.write_text(f"{note.name} {'0' * 64}")
    assert first == hashlib.sha256(large.read_bytes()).hexdigest() and known_sha256(large) == "0" * 64
    with large.open("r+b") as file:
        file.write(b"x")
    os.utime(large, (OLD, OLD))
    assert known_sha256(large) == hashlib.sha256(large.read_bytes()).hexdigest() != first


def of_another_state(note: Path) -> None:
    note.write_text(f"{'1' * 64} {'0' * 64}")


def by_others(note: Path) -> None:
    note.write_text(f"{note.name} {'0' * 64}")
    note.chmod(0o666)


def by_a_link(note: Path) -> None:
    elsewhere = note.with_name("elsewhere")
    elsewhere.write_text(f"{note.name} {'0' * 64}")
    elsewhere.chmod(0o600)
    note.unlink()
    note.symlink_to(elsewhere)


def by_a_pipe(note: Path) -> None:
    note.unlink()
    os.mkfifo(note, 0o600)


@pytest.mark.parametrize("spoil", [of_another_state, by_others, by_a_link, by_a_pipe])
def test_a_note_of_another_file_or_writer_is_not_believed(large: Path, spoil: Callable[[Path], None]) -> None:
    first = known_sha256(large)
    (note,) = notes(large)
    spoil(note)
    assert known_sha256(large) == first


def test_notes_of_long_ago_are_dropped(large: Path) -> None:
    folder = large.parent / "cache" / "sums"
    folder.mkdir(parents=True)
    for name, days in (("old", 31), (".old.part", 31), ("new", 29)):
        (folder / name).touch()
        os.utime(folder / name, (time.time() - days * 86_400,) * 2)
    known_sha256(large)
    assert len(there := {path.name for path in notes(large)}) == 2 and "new" in there


def test_nothing_is_noted_of_a_small_file_or_one_just_written(
    large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sums, "SETTLED_S", SETTLED_S)
    known_sha256(large)
    small = large.with_name("small")
    small.write_bytes(b"small")
    monkeypatch.setattr(sums, "SETTLED_S", -1.0)
    known_sha256(small)
    assert notes(large) == []
