"""Imports store nothing of what is to be hidden."""

from __future__ import annotations

import json
from pathlib import Path

from nla_ray.config.reading.importing import ImportOptions
from nla_ray.pipelines.importing import import_files
from nla_ray.store import verify
from tests.imports.files import jsonl_file, line, transcript
from tests.pipelines.importing.imported import rows


def test_what_is_to_be_hidden_is_stored_nowhere(tmp_path: Path) -> None:
    tables, secret = str(tmp_path / "tables"), "sk-planted0123456789"
    spoken = [
        ("PROMPT", token, f"It reads {secret} there.") for token in ("Key: ", secret[:9], secret[9:], " end.")
    ]
    (tmp_path / "told.txt").write_text(transcript(spoken))
    jsonl_file(tmp_path / "lines.jsonl", [line(31, "Calm."), f"{{{secret}"])
    files = [str(tmp_path / "told.txt"), str(tmp_path / "lines.jsonl")]
    import_files(files, tables, ImportOptions())
    assert secret in stored(tables), "the search finds what is planted"
    options = ImportOptions.model_validate({"redact": {"patterns": ["sk-[a-z0-9]{10,}"]}})
    hidden = import_files(files, f"{tables}-hidden", options)
    found = stored(f"{tables}-hidden")
    assert secret[3:] not in found and secret[9:] not in found
    assert "It reads [redacted] there." in found and "Calm." in found
    assert rows(f"{tables}-hidden", "SELECT DISTINCT token, token_id FROM explanations") == [
        {"token": None, "token_id": None}
    ]
    (document,) = rows(f"{tables}-hidden", "FROM documents")
    assert (document["text"], document["token_ends"]) == ("Key: [redacted] end.", [5, 15, 15, 20])
    assert secret not in json.dumps(hidden.summary) and verify(f"{tables}-hidden") == []


def test_where_it_cannot_be_found_out_what_to_hide_nothing_is_stored(tmp_path: Path) -> None:
    tables = str(tmp_path / "tables")
    file = jsonl_file(tmp_path / "lines.jsonl", [line(30, "A secret."), line(31, "Another.")])
    options = ImportOptions.model_validate({"redact": {"function": f"{__name__}:fails"}})
    assert import_files([str(file)], tables, options).summary["outcomes"] == {"failed": 2}
    assert "secret" not in stored(tables) and f"{__name__}:fails raised ValueError" in stored(tables)


def fails(text: str) -> list[tuple[int, int]]:
    raise ValueError(text)


def stored(tables: str) -> str:
    """Everything that rows and documents say."""
    return json.dumps([rows(tables, f"FROM {table}") for table in ("explanations", "documents")], default=str)
