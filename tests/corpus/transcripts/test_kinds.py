"""A file's kind is told by its name and first bytes, and what is none of these kinds is left alone."""

from __future__ import annotations

import json

import pytest

from nla_ray.corpus.transcripts.kinds import kind_of

INSPECT = json.dumps({"version": 2, "status": "success", "eval": {"task": "t"}, "samples": []}).encode()
ATIF = b'{"schema_version": "ATIF-v1.6", "session_id": "s"}'
CLAUDE = b'{"parentUuid": null, "isSidechain": false, "type": "user", "uuid": "u"}'


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("a.eval", b"PK\3\4", "inspect-eval"),
        ("A.EVAL", b"", "inspect-eval"),
        ("a.json", INSPECT, "inspect-json"),
        ("a.json", json.dumps(json.loads(INSPECT), indent=4).encode()[:60], "inspect-json"),
        ("a.json", b"\xef\xbb\xbf" + INSPECT, "inspect-json"),
        ("a.json", b'{"version": 2, "status": "error", "samples": [{"id": 1', "inspect-json"),
        ("a.json", ATIF, "atif"),
        ("a.json", b'{\n  "agent": {},\n  "schema_version": "ATIF-v1.4"', "atif"),
        ("a.jsonl", ATIF + b"\n" + ATIF, "atif"),
        ("a.jsonl", ATIF[:40], "atif"),
        ("a.jsonl", CLAUDE + b"\n", "claude-code"),
        ("a.jsonl.gz", CLAUDE[:30], "claude-code"),
        ("a.jsonl", b'{"type": "summary", "summary": "x", "leafUuid": "u"}\n', "claude-code"),
        ("a.jsonl", b'{"type": "file-history-snapshot"}\n' + CLAUDE, "claude-code"),
        ("a.json", b'{"messages": [{"content": "{\\"version\\": 2, \\"status\\": \\"success\\"}"}]}', None),
        ("a.json", b'[{"version": 2, "status": "success"}]', None),
        ("a.json", b'{"version": 1, "samples": [1]}', None),
        ("a.jsonl", b'{"messages": [{"role": "user", "content": "parentUuid"}]}\n', None),
        ("a.jsonl", b'{"text": "{\\"parentUuid\\": null}"}\n', None),
        ("a.jsonl", b'{"lines": [{"parentUuid": null}]}\n', None),
        ("a.jsonl", b'{"text": "a \\"schema_version\\": \\"ATIF-v1\\""}\n', None),
        ("a.jsonl", b"[" * 5000, None),
        ("a.txt", CLAUDE, None),
        ("a.json", b"", None),
    ],
)
def test_kinds(name: str, head: bytes, kind: str | None) -> None:
    assert kind_of(name, head) == kind


@pytest.mark.parametrize(
    ("columns", "kind"),
    [
        (("messages", "transcript_id", "x"), "scout"),
        (("messages",), None),
        (("transcript_id",), None),
        ((), None),
    ],
)
def test_a_table_is_told_by_its_columns(columns: tuple[str, ...], kind: str | None) -> None:
    assert kind_of("a.parquet", b"PAR1", columns) == kind
