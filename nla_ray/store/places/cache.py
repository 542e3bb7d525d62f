"""Local copies of remote objects, named by the sha256 of their content, which is checked (see `sums`)."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path

from nla_ray.cache import cache_folder
from nla_ray.errors import InputError
from nla_ray.store.places.sums import known_sha256


def cached(sha256: str) -> Path | None:
    """The copy with this content; one that was spoilt is removed."""
    path = _path(sha256)
    if not path.is_file():
        return None
    if known_sha256(path) == sha256:
        return path
    path.unlink(missing_ok=True)
    return None


def keep(sha256: str, chunks: Iterable[bytes], require: Callable[[str], None]) -> Path:
    """Keep content under its digest; `require` raises for a digest that it must not have.

    Raises InputError where the cache cannot be written to.
    """
    path, found = _path(sha256), hashlib.sha256()
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("xb") as file:
            for chunk in chunks:
                found.update(chunk)
                file.write(chunk)
        require(found.hexdigest())
        part.replace(path)
    except OSError as error:
        raise InputError(
            f"{path.parent}: cannot keep a local copy: {error.strerror or error}; "
            "name another folder in NLA_RAY_CACHE"
        ) from None
    finally:
        part.unlink(missing_ok=True)
    return path


def _path(sha256: str) -> Path:
    return cache_folder() / sha256[:2] / f"{sha256}.parquet"
