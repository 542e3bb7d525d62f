"""An Inspect sample whose messages, events and attachments lie in numbered chunks of their own."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from zipfile import ZipInfo

from nla_ray.corpus.transcripts.inspect.sample import Sample
from nla_ray.corpus.transcripts.values import LARGEST, UnreadableError

_NUMBER = re.compile(r"(\d{1,12})\.json", re.ASCII)
MOST_MESSAGES = 1_000_000

Read = Callable[[ZipInfo], Any]


class Chunks:
    """A sequence in chunks, each a list under the number of its first item, read when it is needed."""

    def __init__(self, folder: str, inside: Mapping[str, ZipInfo], read: Read) -> None:
        """`folder` ends with a slash."""
        found = ((_NUMBER.fullmatch(name.removeprefix(folder)), info) for name, info in inside.items())
        self._members = {int(match[1]): info for match, info in found if match}
        self._starts = sorted(self._members)
        self._folder, self._read, self._held = folder, read, dict[int, list[Any]]()

    def size(self) -> int:
        """Bytes of all chunks."""
        return sum(info.file_size for info in self._members.values())

    def __iter__(self) -> Iterator[Any]:
        """All items, one chunk held at a time."""
        return (item for start in self._starts for item in self._list(start))

    def at(self, index: int) -> Any:
        """One item; its chunk is kept. Raises UnreadableError: there is none."""
        place = bisect_right(self._starts, index) - 1
        start = self._starts[place] if place >= 0 else 0
        if place >= 0 and start not in self._held:
            self._held[start] = self._list(start)
        chunk = self._held.get(start, [])
        if not 0 <= index - start < len(chunk):
            raise UnreadableError(f"{self._folder} holds no item {index}")
        return chunk[index - start]

    def _list(self, start: int) -> list[Any]:
        items = self._read(self._members[start])
        if not isinstance(items, list):
            raise UnreadableError(f"{self._members[start].filename} holds {type(items).__name__}, not a list")
        return items


def chunked(shell: Mapping[str, Any], prefix: str, inside: Mapping[str, ZipInfo], read: Read) -> Sample:
    """The sample whose small fields are in `shell`. Raises UnreadableError."""
    messages, events, attachments = (
        Chunks(f"{prefix}{name}/", inside, read) for name in ("messages", "events", "attachments")
    )
    if (size := messages.size() + attachments.size()) > LARGEST:
        raise UnreadableError(f"{prefix} holds {size} bytes of messages, and at most {LARGEST} are read")
    metadata = inside.get(f"{prefix}metadata.json")
    fields = dict(shell) if metadata is None else {**shell, "metadata": read(metadata)}
    return Sample(
        fields,
        [messages.at(index) for index in _indices(shell.get("message_refs"))],
        events,
        lambda name: attachments.at(int(name)) if len(name) < 13 else None,
    )


def _indices(refs: Any) -> list[int]:
    """The indices that half-open ranges stand for."""
    indices: list[int] = []
    for pair in refs if isinstance(refs, list) else []:
        if not (isinstance(pair, list) and len(pair) == 2 and all(type(end) is int for end in pair)):
            raise UnreadableError(f"message_refs holds {pair!r:.40} where a pair of indices belongs")
        if not 0 <= pair[0] <= pair[1] <= pair[0] + MOST_MESSAGES - len(indices):
            raise UnreadableError(f"message_refs holds {pair!r:.40}; up to {MOST_MESSAGES} messages are read")
        indices.extend(range(*pair))
    return indices
