"""From a path or an S3 URL to the store that holds tables there."""

from __future__ import annotations

from pathlib import Path

from nla_ray.errors import InputError
from nla_ray.store.folder import FolderStore
from nla_ray.store.objects import Store


def open_store(url: str | Path, *, overwrites: bool = False) -> Store:
    """The store at a local folder or at `s3://bucket/prefix`; nothing is read or written yet.

    S3 endpoint, region and credentials come from the environment and files that AWS tools use
    (`AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_PROFILE`, ...). `overwrites` accepts a place that cannot write
    conditionally; two writers at once may then mix their results. Raises InputError for another scheme.
    """
    scheme, separator, rest = str(url).partition("://")
    if not separator:
        return FolderStore(Path(url), overwrites=overwrites)
    if scheme != "s3":
        raise InputError(
            f"{url}: cannot keep tables at {scheme}://; give a local folder or s3://bucket/prefix"
        )
    from nla_ray.store.s3 import S3Store

    bucket, _, prefix = rest.partition("/")
    if not bucket:
        raise InputError(f"{url}: names no bucket; write s3://bucket/prefix")
    return S3Store(bucket, prefix.strip("/"), overwrites=overwrites)
