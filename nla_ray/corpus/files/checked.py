"""A corpus file as the planner reads it, and what tells later whether it is still the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from nla_ray.corpus.files.sources import Source
from nla_ray.errors import InputError, NoFileError
from nla_ray.store.places.files import S3, checked_copy, stamp_of


@contextmanager
def checked(source: Source, *, whole: bool) -> Iterator[tuple[Source, Source]]:
    """The source with its stamp, and one from which to read it here.

    A `whole` file of S3 is read from a local copy with the object's checksum; of another, which would be
    copied for a few rows, every range is fetched twice. Raises InputError.
    """
    stamped = replace(source, stamp=stamp_of(source.place))
    if not whole or not source.path.startswith(S3):
        yield stamped, source
        return
    with checked_copy(source.path) as path:
        yield stamped, replace(source, path=path)


def require_unchanged(source: Source, why: str) -> None:
    """Raise InputError, which begins with `why`, where a file is another one than when it was planned."""
    try:
        same = source.stamp == stamp_of(source.place)
    except NoFileError as error:
        same, why = False, str(error)
    if not same:
        raise InputError(
            f"{why}; the corpus has changed since the run was planned, or this machine does not see the same "
            "files: bring it back, or give another output for the changed one"
        )
