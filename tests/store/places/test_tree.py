"""A tree of files that are replaced: who took it over last is the only one of its owners to change it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from nla_ray.errors import InputError, UnreachableError
from nla_ray.store.places.tree import Tree
from tests.store.conftest import use_s3
from tests.store.faults import faulty


def test_only_the_newest_owner_changes_a_tree(place: str, tmp_path: Path) -> None:
    older, newer, file = Tree(place), Tree(place), tmp_path / "file"
    file.write_bytes(b"file")
    older.take_over()
    older.write("a", b"older")
    restarted = pickle.loads(pickle.dumps(older))  # noqa: S301
    restarted.write("a", b"a worker of the same owner")
    newer.take_over()
    changes: list[Callable[[], None]] = [
        lambda: older.write("a", b"older again"), lambda: older.remove("a"),
        lambda: restarted.upload(file, "a"), older.require_owner,
    ]  # fmt: skip
    for change in changes:
        with pytest.raises(InputError, match="another training was started into this output"):
            change()
    assert older.read("a") == newer.read("a") == b"a worker of the same owner"
    newer.write("a", b"newer")
    newer.remove("a")
    assert newer.read("a") is None


def test_an_owner_that_died_holds_nobody_up(place: str) -> None:
    Tree(place).take_over()
    Tree(place).write("a", b"whoever asks for no ownership")
    newer = Tree(place)
    newer.take_over()
    newer.write("a", b"newer")
    assert newer.read("a") == b"newer"


def test_what_may_pass_is_told_from_what_lasts(
    s3: str, s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with faulty(s3_endpoint, lambda request: "AccessDenied") as endpoint:
        use_s3(monkeypatch, endpoint, tmp_path)
        with pytest.raises(InputError, match="report") as raised:
            Tree(s3).write("report.json", b"{}")
    assert not isinstance(raised.value, UnreachableError)
    use_s3(monkeypatch, "http://127.0.0.1:9", tmp_path)
    with pytest.raises(UnreachableError, match="report"):
        Tree(s3).write("report.json", b"{}")
