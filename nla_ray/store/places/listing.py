"""What is below a place of S3: files, folders, patterns."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fsspec.utils import glob_translate

from nla_ray.errors import NoFileError
from nla_ray.store.places.asking import agreed, ask
from nla_ray.store.places.ranges import look, split

_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class _Page:
    """Keys and folders below a prefix; `token` names what follows, differently each time."""

    keys: tuple[str, ...]
    folders: tuple[str, ...]
    more: bool
    token: str = field(compare=False)


def is_object(path: str) -> bool:
    """Whether there is an object of that name. Raises as `ask` does where that cannot be found out."""
    if not split(path)[1]:
        return False
    try:
        look(path)
    except NoFileError:
        return False
    return True


def folder(path: str) -> tuple[str, ...] | None:
    """URLs of the objects directly in a folder or bucket; None where there is no such folder."""
    bucket, key = split(path.rstrip("/"))
    prefix = f"{key}/" if key else ""
    keys, folders = _below(path, bucket, prefix, "/")
    if key and not keys and not folders:
        return None
    return tuple(f"s3://{bucket}/{one}" for one in keys if not one.endswith("/"))


def matching(path: str) -> tuple[str, ...]:
    """URLs of the objects that a pattern means; `**` stands for any folders."""
    bucket, key = split(path)
    wild = _WILD.search(key)
    literal = key[: wild.start()] if wild else key
    beside = "/" not in key[len(literal) :] and "**" not in key
    found, _ = _below(path, bucket, literal, "/" if beside else "")
    pattern = re.compile(glob_translate(key))
    return tuple(f"s3://{bucket}/{one}" for one in found if pattern.match(one) and not one.endswith("/"))


def _below(path: str, bucket: str, prefix: str, delimiter: str) -> tuple[list[str], list[str]]:
    """Keys and folders of all pages, each asked for until two answers agree: no listing is a smaller one."""
    keys, folders = list[str](), list[str]()
    options = {"Bucket": bucket, "Prefix": prefix, "Delimiter": delimiter}
    while True:
        page = agreed(path, partial(_page, path, dict(options)))
        keys += page.keys
        folders += page.folders
        if not page.more:
            return sorted(keys), folders
        options["ContinuationToken"] = page.token


def _page(path: str, options: dict[str, str]) -> _Page:
    def question(client: Any) -> _Page:
        answer = client.list_objects_v2(**options)
        keys = tuple(one["Key"] for one in answer.get("Contents", ()))
        folders = tuple(one["Prefix"] for one in answer.get("CommonPrefixes", ()))
        return _Page(keys, folders, bool(answer.get("IsTruncated")), answer.get("NextContinuationToken", ""))

    return ask(path, question)
