"""Files of other tools: which of the known formats each one has, told from its content."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from nla_ray.errors import InputError
from nla_ray.imports.formats.transcripts import is_transcript
from nla_ray.imports.shapes import is_result, results_in, something_else
from nla_ray.store.places.files import opened

Format = Literal["json", "jsonl", "parquet", "transcript"]
FORMATS: tuple[Format, ...] = get_args(Format)

_HEAD = 1 << 20
_CHUNK = 1 << 20
_BLANK = b"\xef\xbb\xbf \t\r\n"
_LIST = re.compile(rb'(?<!\\)"explanations"\s*:\s*\[')
_ROWS = re.compile(rb'(?:\{.*?(?<!\\)"(?:results|rows)"\s*:\s*)?\[\s*\{', re.DOTALL)
_TEXT = re.compile(rb'(?<!\\)"(?:explanation|nla_output|description|samples|generation_index)"\s*:')


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
    text = head.lstrip(_BLANK)
    if not _object_in(text.partition(b"\n")[0]) and _begins_a_list(text):
        return "json"
    other = None
    for number, line in enumerate(head.splitlines(), start=1):
        value = _object_in(line)
        if is_result(value.keys()):
            return "jsonl"
        if _holds_results(value):
            return "json"
        what = something_else(value.keys())
        other = other or (what and f"{path}:{number}: {what}")
    if is_transcript(head.decode("utf-8", "replace")):
        return "transcript"
    raise InputError(
        other
        or f"{path}: none of the known formats; looked for Parquet, a JSON object with a list "
        "`explanations`, JSON lines with `nla_output` or `explanation`, a transcript with rows "
        "`[ 0]  PROMPT  token=...`; name one of them with --format if the file begins in another way; "
        "`corpus.vectors` reads files of vectors"
    )


def _object_in(line: bytes) -> dict[str, Any]:
    """A line that is a whole JSON object; else an empty one."""
    if not line.lstrip(_BLANK).startswith(b"{"):
        return {}
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _holds_results(value: dict[str, Any]) -> bool:
    """A whole file in one line; what stands in `explanations` is taken for results, whatever it is."""
    rows = results_in(value)
    keys = rows[0].keys() if rows and isinstance(rows[0], dict) else set[str]()
    return isinstance(value.get("explanations"), list) or is_result(keys) or something_else(keys) is not None


def _begins_a_list(head: bytes) -> bool:
    named = head.startswith(b"{") and _LIST.search(head)
    return bool(named or (_ROWS.match(head) and _TEXT.search(head)))
