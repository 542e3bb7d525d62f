"""What is no corpus of rows though it is JSON: logs and transcripts of agents, and how they are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nla_ray.errors import InputError

WAY_OUT = "name it in a corpus of its own with corpus.transcripts: {}"
INSPECT = "an Inspect log"

_SESSION_KEYS = ({"parentUuid", "sessionId"}, {"leafUuid", "summary"}, {"messageId", "snapshot"})


def refuse_transcript(label: str, row: Mapping[str, Any]) -> None:
    """Raise InputError where a first row shows that its file holds events or samples and not documents."""
    what = transcript_kind(row)
    if what is not None:
        raise InputError(f"{label}: it is {what}, not rows with columns; {WAY_OUT}")


def transcript_kind(row: Mapping[str, Any]) -> str | None:
    """What the file is whose first JSON object this is; None for a row as any other."""
    if isinstance(row.get("type"), str) and any(keys <= row.keys() for keys in _SESSION_KEYS):
        return "a session of Claude Code, one event a line"
    if str(row.get("schema_version")).startswith("ATIF") and "steps" in row:
        return "an ATIF trajectory, one JSON object"
    if isinstance(row.get("version"), int) and "status" in row and row.keys() & {"eval", "samples"}:
        return f"{INSPECT}, one JSON object"
    return None
