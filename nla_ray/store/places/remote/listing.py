"""What is below a place of S3: files, folders, patterns."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fsspec.utils import glob_translate

from nla_ray.errors import NoFileError
from nla_ray.store.places.remote.asking import agreed, ask
from nla_ray.store.places.remote.ranges import look, split

_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Entry:
    """An object as a listing shows it: its key, its size in bytes, its ETag."""

    key: str
    size: int
    etag: str


@dataclass(frozen=True)
class _Page:
    """Objects and folders below a prefix; `token` names what follows, differently each time."""

    objects: tuple[Entry, ...]
    folders: tuple[str, ...]
    more: bool
    token: str = field(compare=False)


def is_object(path: str) -> bool:
    """Whether there is an object of that name. Raises as `ask` does where that cannot be found out.

    A name with `/` at its end is a folder's, whatever the server keeps under it.
    """
    if not split(path)[1] or path.endswith("/"):
        return False
    try:
        look(path)
    except NoFileError:
        return False
    return True


def folder(path: str) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """URLs of the objects and of the folders directly in a folder or bucket; None where there is none."""
    bucket, key = split(path.rstrip("/"))
    prefix = f"{key}/" if key else ""
    found, folders = _below(path, bucket, prefix, "/")
    keys = [one.key for one in found]
    return None if key and not keys and not folders else (_urls(bucket, keys), _urls(bucket, folders))


def objects(path: str) -> tuple[Entry, ...]:
    """The objects directly in a folder or bucket, by key; none where there is no such folder."""
    bucket, key = split(path.rstrip("/"))
    return tuple(_below(path, bucket, f"{key}/" if key else "", "/")[0])


def below(path: str) -> tuple[str, ...]:
    """URLs of all objects below a folder or bucket."""
    bucket, key = split(path.rstrip("/"))
    found, _ = _below(path, bucket, f"{key}/" if key else "", "")
    return _urls(bucket, [one.key for one in found])


def matching(path: str, base: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """URLs of the objects and folders that a pattern means, which begins below `base`; `**`: any folders."""
    bucket, key = split(path)
    literal = split(base)[1] if "/" in base.removeprefix("s3://") else ""
    rest = key[len(literal) :]
    wild = _WILD.search(rest)
    start = literal + (rest[: wild.start()] if wild else rest)
    beside = "/" not in key[len(start) :] and "**" not in key
    found, folders = _below(path, bucket, start, "/" if beside else "")
    pattern = re.compile(glob_translate(glob.escape(literal) + rest))
    keys = [one.key for one in found if pattern.match(one.key)]
    return _urls(bucket, keys), _urls(bucket, [one for one in folders if pattern.match(one)])


def _urls(bucket: str, keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"s3://{bucket}/{one}" for one in keys)


def _below(path: str, bucket: str, prefix: str, delimiter: str) -> tuple[list[Entry], list[str]]:
    """Objects and folders of all pages, each asked until two answers agree: no listing is a smaller one."""
    found, folders = list[Entry](), list[str]()
    options = {"Bucket": bucket, "Prefix": prefix, "Delimiter": delimiter}
    while True:
        page = agreed(path, partial(_page, path, dict(options)))
        found += (one for one in page.objects if not one.key.endswith("/"))
        folders += (one[:-1] for one in page.folders)
        if not page.more:
            return sorted(found, key=lambda one: one.key), folders
        options["ContinuationToken"] = page.token


def _page(path: str, options: dict[str, str]) -> _Page:
    def question(client: Any) -> _Page:
        answer = client.list_objects_v2(**options)
        found = tuple(
            Entry(one["Key"], int(one["Size"]), one.get("ETag", "")) for one in answer.get("Contents", ())
        )
        folders = tuple(one["Prefix"] for one in answer.get("CommonPrefixes", ()))
        return _Page(found, folders, bool(answer.get("IsTruncated")), answer.get("NextContinuationToken", ""))

    return ask(path, question)
