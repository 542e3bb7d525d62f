"""Files of other tools: which of the known formats each one has, told from its content."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from nla_ray.errors import InputError
from nla_ray.imports.transcripts import is_transcript
from nla_ray.store.places.files import opened

Format = Literal["json", "jsonl", "parquet", "transcript"]
FORMATS: tuple[Format, ...] = get_args(Format)

TEXT_KEYS = ("explanation", "nla_output")
"""Keys of a line of JSON that make it a result."""

_HEAD = 1 << 20
_CHUNK = 1 << 20
_LIST = re.compile(rb'(?<!\\)"explanations"\s*:\s*\[')


@dataclass(frozen=True)
class Source:
    """One file: where it is, its own name, its format and its content's identity."""

    path: str
    name: str
    format: Format
    bytes: int
    sha256: str

    @property
    def stem(self) -> str:
        """The name without its last suffix."""
        return self.name.rpartition(".")[0] or self.name


def find_sources(paths: Sequence[str], form: Format | None = None) -> list[Source]:
    """The files in the order of their names; `form` is believed instead of looking.

    Raises InputError: a file cannot be read, is empty, is in none of the formats, or is there twice.
    """
    found = sorted((_source(path, form) for path in paths), key=lambda source: (source.name, source.sha256))
    by_content: dict[str, Source] = {}
    for source in found:
        twin = by_content.setdefault(source.sha256, source)
        if twin is not source:
            raise InputError(f"{twin.path} and {source.path}: the same content; name only one of them")
    return found


def _source(path: str, form: Format | None) -> Source:
    size, sha256 = 0, hashlib.sha256()
    with opened(path) as file:
        head = file.read(_HEAD)
        chunk = head
        while chunk:
            size += len(chunk)
            sha256.update(chunk)
            chunk = file.read(_CHUNK)
    if not size:
        raise InputError(f"{path}: is empty; there is nothing to import")
    name = path.rstrip("/").rpartition("/")[2]
    return Source(path, name, form or format_of(path, head), size, sha256.hexdigest())


def format_of(path: str, head: bytes) -> Format:
    """The format that the first bytes of a file show. Raises InputError that says what was looked for."""
    if head.startswith(b"PAR1"):
        return "parquet"
    for line in head.splitlines():
        found = _format_of_line(line)
        if found:
            return found
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") and _LIST.search(head):
        return "json"
    if is_transcript(head.decode("utf-8", "replace")):
        return "transcript"
    raise InputError(
        f"{path}: none of the known formats; looked for Parquet, a JSON object with a list `explanations`, "
        "JSON lines with `nla_output` or `explanation`, a transcript with rows `[ 0]  PROMPT  token=...`; "
        "name one of them with --format if the file begins in another way"
    )


def _format_of_line(line: bytes) -> Format | None:
    """What one line gives away, if it is a whole JSON object."""
    if not line.lstrip(b"\xef\xbb\xbf \t").startswith(b"{"):
        return None
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict) and isinstance(value.get("explanations"), list):
        return "json"
    return "jsonl" if isinstance(value, dict) and any(key in value for key in TEXT_KEYS) else None
