"""What every place for tables must do: write once, whole, and read what was written."""

from __future__ import annotations

import hashlib
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nla_ray.errors import InputError
from nla_ray.store.places.address import open_store
from nla_ray.store.places.folder import FolderStore
from nla_ray.store.places.objects import PROBE
from tests.store.conftest import SECRET


def test_the_first_write_wins(place: str) -> None:
    store = open_store(place)
    assert store.put_new("a/b.bin", b"first") and not store.put_new("a/b.bin", b"second")
    assert store.get("a/b.bin") == b"first"


def test_one_of_many_racing_writers_wins(place: str) -> None:
    contents = [bytes([index]) * 100_000 for index in range(4)]
    stores = [open_store(place) for _ in contents]
    with ThreadPoolExecutor(4) as pool:
        won = list(
            pool.map(lambda pair: pair[0].put_new("unit", pair[1]), zip(stores, contents, strict=True))
        )
    assert won.count(True) == 1
    assert stores[0].get("unit") == contents[won.index(True)]
    assert [entry.key for entry in stores[0].entries("")] == ["unit"]


def test_objects_are_listed_read_and_identified(place: str) -> None:
    store = open_store(place)
    for key in ("t/run_id=a/2", "t/run_id=a/1", "t/run_id=ab/1", "u/1"):
        store.put_new(key, key.encode())
    assert [entry.key for entry in store.entries("t/run_id=a/")] == ["t/run_id=a/1", "t/run_id=a/2"]
    assert [entry.bytes for entry in store.entries("u/")] == [3]
    assert store.entries("nothing/") == store.keys("nothing/") == []
    for prefix in ("", "t/", "t/run_id=a/", "t/run_id=a/2"):
        assert store.keys(prefix) == [entry.key for entry in store.entries(prefix)]
    assert store.folders("") == ["t", "u"] and store.folders("t/") == ["run_id=a", "run_id=ab"]
    assert store.folders("u/") == store.folders("nothing/") == []
    assert store.tail("u/1", 2) == b"/1" and store.tail("u/1", 100) == b"u/1"
    assert store.identify("u/1") == (3, hashlib.sha256(b"u/1").hexdigest())


def test_absent_objects_are_file_not_found(place: str) -> None:
    store = open_store(place)
    store.put_new("there", b"")
    for read in (
        store.get,
        store.identify,
        lambda key: store.tail(key, 8),
        lambda key: store.local(key, "0" * 64),
    ):
        with pytest.raises(FileNotFoundError):
            read("absent")


def test_a_local_copy_has_the_digest_that_is_asked_for(place: str) -> None:
    store = open_store(place)
    store.put_new("file", b"content")
    sha256 = hashlib.sha256(b"content").hexdigest()
    assert store.local("file", sha256).read_bytes() == b"content"
    with pytest.raises(InputError, match="changed after it was committed"):
        store.local("file", "0" * 64)


def test_the_probe_leaves_one_object_however_often_it_runs(place: str) -> None:
    for _ in range(3):
        open_store(place).probe()
    assert [entry.key for entry in open_store(place).entries("")] == [PROBE]


def test_a_store_is_pickled_without_credentials(place: str) -> None:
    store = open_store(place)
    store.put_new("file", b"content")
    raw = pickle.dumps(store)
    assert SECRET.encode() not in raw
    assert pickle.loads(raw).get("file") == b"content"  # noqa: S301


def test_overwriting_by_name_still_keeps_what_is_there(place: str) -> None:
    store = open_store(place, overwrites=True)
    store.probe()
    assert store.put_new("file", b"first") and not store.put_new("file", b"second")
    assert store.get("file") == b"first"


@pytest.mark.parametrize(("url", "message"), [("gs://bucket/x", "gs://"), ("s3:///x", "names no bucket")])
def test_other_places_are_refused(url: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_store(url)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        open_store(tmp_path / "file").put_new("a/b", b"")
    for look in (FolderStore.entries, FolderStore.keys, FolderStore.folders):
        with pytest.raises(InputError, match="is a file"):
            look(FolderStore(tmp_path / "file"), "")


def test_what_is_removed_is_gone_and_its_name_free_again(place: str) -> None:
    store = open_store(place)
    store.put_new("a/b", b"first")
    store.put_new("a/c", b"")
    store.remove("a/b")
    store.remove("a/b")
    assert [entry.key for entry in store.entries("")] == ["a/c"]
    assert store.put_new("a/b", b"second") and store.get("a/b") == b"second"


def test_a_listing_says_when(place: str) -> None:
    store = open_store(place)
    store.put_new("a/b", b"")
    assert abs(store.entries("")[0].modified - time.time()) < 60


@pytest.mark.parametrize(
    "key", ["../x", "/etc/passwd", "a//b", "a/../../b", "a/.", "", "a\0b", "a\\..\\b", "a/"]
)
def test_no_key_leads_out_of_the_root(place: str, key: str) -> None:
    """Keys stand in manifests, which others may have written."""
    store = open_store(place)
    store.put_new("a/b", b"")
    for act in (
        lambda: store.put_new(key, b""),
        lambda: store.get(key),
        lambda: store.tail(key, 1),
        lambda: store.identify(key),
        lambda: store.local(key, "0" * 64),
        lambda: store.remove(key),
        lambda: store.place(key),
    ):
        with pytest.raises(InputError, match="is no key of an object below it"):
            act()
    assert [entry.key for entry in store.entries("")] == ["a/b"]


def test_no_listing_leads_out_of_the_root(place: str) -> None:
    with pytest.raises(InputError, match="is no key of an object below it"):
        open_store(place).entries("../")
    with pytest.raises(InputError, match="no key of an object below it"):
        open_store(place).keys("../")


def test_unfinished_files_are_not_seen(tmp_path: Path) -> None:
    """A killed writer leaves its temporary file behind."""
    store = open_store(tmp_path)
    store.put_new("t/unit", b"")
    (tmp_path / "t" / ".unit.0.part").write_bytes(b"half")
    assert [entry.key for entry in store.entries("t/")] == ["t/unit"]
    (left,) = store.unfinished()
    store.remove(left.key)
    assert left.bytes == 4 and store.unfinished() == [] and (tmp_path / "t" / "unit").exists()
