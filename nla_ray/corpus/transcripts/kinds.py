"""Which files are whole transcripts, told by their name and first bytes."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, Literal

from nla_ray.corpus.transcripts.scout import is_scout
from nla_ray.corpus.transcripts.values import UnreadableError, parsed

Kind = Literal["inspect-eval", "inspect-json", "atif", "claude-code", "scout"]

_ATIF = re.compile(rb'"schema_version"\s*:\s*"ATIF-v')
_INSPECT = (
    re.compile(rb'"status"\s*:\s*"(?:started|success|cancelled|error)"|"eval"\s*:\s*\{'),
    re.compile(rb'"version"\s*:\s*\d|"samples"\s*:\s*\['),
)
_CLAUDE = ("parentUuid", "leafUuid")
_CUT_CLAUDE = re.compile(rb'\s*\{\s*"parentUuid"\s*:')
_LINES = (".jsonl", ".ndjson")


def kind_of(name: str, head: bytes, columns: Collection[str] = ()) -> Kind | None:
    """The kind of a file, None where it is none of these.

    `head` is as much of its beginning as may be at hand (64 KiB will do), of a packed file after unpacking;
    `columns` are those of a Parquet file, which its beginning does not tell.
    """
    name = name.lower().removesuffix(".gz").removesuffix(".zst")
    if name.endswith(".eval"):
        return "inspect-eval"
    if name.endswith(".parquet"):
        return "scout" if is_scout(columns) else None
    if name.endswith(_LINES):
        return _kind_of_lines(head)
    if not name.endswith(".json") or not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return None
    if _ATIF.search(head):
        return "atif"
    return "inspect-json" if all(pattern.search(head) for pattern in _INSPECT) else None


def _kind_of_lines(head: bytes) -> Kind | None:
    for line in head.splitlines():
        fields = _fields(line)
        if any(name in fields for name in _CLAUDE) or _CUT_CLAUDE.match(line):
            return "claude-code"
        if str(fields.get("schema_version")).startswith("ATIF-v"):
            return "atif"
    return "atif" if _ATIF.search(head[:200]) else None


def _fields(line: bytes) -> dict[str, Any]:
    try:
        value = parsed(line) if line.lstrip().startswith(b"{") else None
    except UnreadableError:
        return {}
    return value if isinstance(value, dict) else {}
