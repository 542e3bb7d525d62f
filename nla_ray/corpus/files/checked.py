"""A corpus file as the planner reads it, and what tells later whether it is still the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from nla_ray.corpus.files.sources import Source
from nla_ray.errors import InputError, NoFileError
from nla_ray.store.places.files import checked_copy, stamp_of


@contextmanager
def checked(source: Source, *, whole: bool) -> Iterator[tuple[Source, Source]]:
    """The source with its stamp, and one from which to read it here.

    A `whole` file of S3 is read from a local copy with the object's checksum; of another, which would be
    copied for a few rows, every range is fetched twice. Raises InputError.
    """
    if not whole:
        yield replace(source, stamp=stamp_of(source.place)), source
        return
    with checked_copy(source.place) as (stamp, path):
        yield replace(source, stamp=stamp), replace(source, path=path)


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
