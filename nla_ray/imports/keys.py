"""Which document and sample each result of an import is, and which ones are there twice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nla_ray.ids import digest
from nla_ray.imports.entries import MAX_SAMPLE, Entry

UNKNOWN = -1
"""The position of a result without one, in its row id."""

NO_KEY = 0


def doc_id_of(entry: Entry, prefix: str) -> str:
    """A document's own id; else its number, or none, behind the name of the tool's run or file.

    A result without document and position is a document of its own.
    """
    if entry.document is not None:
        return f"{prefix}/{entry.document}" if entry.numbered else entry.document
    return f"{prefix}/{entry.record.place}" if entry.position is None else prefix


def layer_of(entry: Entry, common: int | None) -> int | None:
    """The layer that the result is about: its own, else that of its file."""
    own: int | None = entry.columns["layer"]
    return common if own is None else own


def group_of(entry: Entry, prefix: str, layer: int | None = None) -> int:
    """Number below 2^64 of what the samples of one vector have in common; NO_KEY for an unreadable result.

    `layer` is the file's.
    """
    if entry.unreadable:
        return NO_KEY
    position = UNKNOWN if entry.position is None else entry.position
    parts = (doc_id_of(entry, prefix), position, entry.control, str(layer_of(entry, layer)))
    return int(digest(*parts)[:16], 16) or 1


@dataclass(frozen=True)
class Samples:
    """For each result in the order of the import: its sample, whether another had its key before it."""

    sample: npt.NDArray[np.int64]
    repeated: npt.NDArray[np.bool_]
    first: npt.NDArray[np.bool_]
    """Whether it is the first result about its vector."""


def number_samples(groups: npt.NDArray[np.uint64], stated: npt.NDArray[np.int32]) -> Samples:
    """Number the samples of each group; `stated` is what the file says, negative where it says nothing.

    A stated number is kept and the first of equal ones counts. Results without one follow after the highest
    that is stated in their group, in the order of the file. Unreadable results are sample 0 and not repeated.
    """
    _, begins, group = np.unique(groups, return_index=True, return_inverse=True)
    known = stated >= 0
    highest = np.full(int(group.max(initial=-1)) + 1, -1, dtype=np.int64)
    np.maximum.at(highest, group[known], stated[known])
    # Rank among the results of the group that state the same number, or none.
    order = np.lexsort((np.arange(len(group)), stated, group))
    starts = np.ones(len(group), dtype=bool)
    starts[1:] = (np.diff(group[order]) != 0) | (np.diff(stated[order]) != 0)
    begin = np.maximum.accumulate(np.where(starts, np.arange(len(group)), 0))
    rank = np.empty(len(group), dtype=np.int64)
    rank[order] = np.arange(len(group)) - begin
    readable = groups != NO_KEY
    sample = np.where(known, stated, highest[group] + 1 + rank)
    first = np.zeros(len(group), dtype=bool)
    first[begins] = True
    return Samples(np.where(readable, sample, 0), known & readable & (rank > 0), first & readable)


def too_many(sample: int) -> bool:
    """Whether a sample's number does not fit its column."""
    return sample > MAX_SAMPLE
