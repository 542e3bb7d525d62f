"""Addresses of tables, right and wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from nla_ray.errors import InputError
from nla_ray.store import open_store
from nla_ray.store.places.folder import FolderStore
from nla_ray.store.places.remote.s3 import S3Store


def test_folders_and_buckets() -> None:
    folder, home, s3 = open_store(Path("a/b")), open_store("~/tables"), open_store("s3://bucket/a/b/")
    assert isinstance(folder, FolderStore) and folder.url == "a/b"
    assert isinstance(home, FolderStore) and home.folder == Path.home() / "tables"
    assert isinstance(s3, S3Store) and s3.url == "s3://bucket/a/b"
    for name in ("with: colon", "12:30/tables", "./s3:/x"):
        assert isinstance(open_store(name), FolderStore)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "names no place"),
        ("s3:/bucket/x", r"s3:/bucket/x: is neither a folder nor a URL; write s3://bucket/prefix"),
        (Path("s3://bucket/x"), "is neither a folder nor a URL"),
        ("s3:bucket/x", "is neither a folder nor a URL"),
        ("file:/x", "is neither a folder nor a URL"),
        ("s3://", "names no bucket"),
        ("s3:///x", "names no bucket"),
        ("gs://bucket/x", "cannot keep tables at gs://"),
        ("~nobody-of-that-name/x", "no such home folder"),
    ],
)
def test_what_is_mistyped_is_refused(name: str | Path, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_store(name)


def test_a_bucket_name_that_cannot_be_one(s3: str) -> None:
    with pytest.raises(InputError, match="Invalid bucket name") as caught:
        open_store("s3://not a bucket/x").probe()
    assert "\n" not in str(caught.value)
