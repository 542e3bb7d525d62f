"""From a path or an S3 URL to the store that holds tables there."""

from __future__ import annotations

import re
from pathlib import Path

from nla_ray.errors import InputError
from nla_ray.store.places.folder import FolderStore
from nla_ray.store.places.objects import Store


def open_store(url: str | Path, *, overwrites: bool = False) -> Store:
    """The store at a local folder or at `s3://bucket/prefix`; nothing is read or written yet.

    S3 endpoint, region and credentials come from the environment and files that AWS tools use
    (`AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_PROFILE`, ...). `overwrites` accepts a place that cannot write
    conditionally; two writers at once may then mix their results. Raises InputError for another scheme, and
    for what looks like a URL that lost a slash.
    """
    scheme, separator, rest = str(url).partition("://")
    if not separator:
        return FolderStore(_folder(str(url)), overwrites=overwrites)
    if scheme != "s3":
        raise InputError(
            f"{url}: cannot keep tables at {scheme}://; give a local folder or s3://bucket/prefix"
        )
    from nla_ray.store.places.remote.s3 import S3Store

    bucket, _, prefix = rest.partition("/")
    if not bucket:
        raise InputError(f"{url}: names no bucket; write s3://bucket/prefix")
    return S3Store(bucket, prefix.strip("/"), overwrites=overwrites)


def _folder(name: str) -> Path:
    if not name:
        raise InputError("tables: names no place; give a local folder or s3://bucket/prefix")
    if re.match(r"[A-Za-z][A-Za-z0-9+-]+:/|s3:", name):
        raise InputError(
            f"{name}: is neither a folder nor a URL; write s3://bucket/prefix (a Path drops a slash) or "
            f"./{name} for a local folder of that name"
        )
    try:
        return Path(name).expanduser()
    except RuntimeError:
        raise InputError(f"{name}: no such home folder; write the whole path") from None
