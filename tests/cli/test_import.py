"""`nla-ray import`: what a user sees."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Invoke
from tests.imports.files import answer, json_file, jsonl_file, line, transcript


def test_the_summary_says_what_came_and_where_it_is(tmp_path: Path, invoke: Invoke) -> None:
    rows = [
        line(20),
        line(21, "<explanation>Half"),
        line(3),
        "{",
        line(30, kind="random"),
        {"token_index": -1},
    ]
    file, tables = jsonl_file(tmp_path / "x.jsonl", rows), tmp_path / "my tables"
    ended = invoke("import", file, "--to", tables, "--layer", 20)
    assert ended.code == 0 and not ended.err
    lines = dict(line.split(": ", 1) for line in ended.out.splitlines() if not line.startswith("  failed"))
    assert lines["jsonl"] == str(file) and lines["imported"].startswith("6 rows, run ")
    assert lines["outcomes"] == "ok 3 (50.0%), failed 2 (33.3%), unclosed 1 (16.7%)"
    assert (lines["flags"], lines["controls"]) == ("early_position 1 (16.7%)", "random 1 (16.7%)")
    assert ended.out.count("  failed: 1 x ") == 2 and "token_index: found -1 where 0 to" in ended.out
    assert lines["tables"] == str(tables) and f"nla-ray sql '{tables}' \"SELECT outcome" in lines["try"]
    again = invoke("import", file, "--to", tables, "--layer", 20)
    assert again.code == 0 and "(imported before; nothing was done)" in again.out


def test_no_result_at_all_is_a_no(tmp_path: Path, invoke: Invoke) -> None:
    ended = invoke("import", json_file(tmp_path / "x.json", [7, answer(-3)]), "--to", tmp_path / "t")
    assert ended.code == 10 and "outcomes: failed 2 (100.0%)" in ended.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--layer", "-1"), "layer: Input should be greater than or equal to 0"),
        (("--run-name", ""), "run-name: String should have at least 1 character"),
        (
            ("--control", "zero=zip"),
            "control: Input should be 'real', 'shuffled', 'random', 'mean' or 'none'",
        ),
        (("--control", "zero"), "write WORD=NAME"),
        (("--format", "parquet"), "x.jsonl: cannot read this Parquet file"),
        (("--format", "transcript"), "x.jsonl: holds no results"),
        (("--to", "ftp://place"), "cannot keep tables at ftp://"),
    ],
)
def test_unusable_input_is_one_line(
    tmp_path: Path, invoke: Invoke, arguments: tuple[str, ...], message: str
) -> None:
    file = jsonl_file(tmp_path / "x.jsonl", [line(0)])
    assert message in invoke("import", file, "--to", tmp_path / "t", *arguments).refused()
    assert not (tmp_path / "t" / "plans").exists()


def test_hostile_names_and_texts_are_printed_as_text(tmp_path: Path, invoke: Invoke) -> None:
    file = json_file(tmp_path / "\x1b[31m[bold]x.json", [answer("\x1b[31m[bold]"), answer()])
    ended = invoke("import", file, "--to", tmp_path / "t")
    assert "\\x1b[31m[bold]x.json" in ended.out and not {"\x1b", "\u202e"} & set(ended.out)


def test_it_runs_without_torch(tmp_path: Path) -> None:
    file = tmp_path / "x.txt"
    file.write_text(transcript([("PROMPT", "a", "A cat.")]))
    code = (
        "import sys; from nla_ray.cli import app; from nla_ray.cli.entry import run\n"
        f"try: run(app, ['import', {str(file)!r}, '--to', {str(tmp_path / 't')!r}])\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert ended.returncode == 0 and "imported: 1 rows" in ended.stdout
    assert not {"torch", "ray", "transformers"} & set(ended.stderr.split())


def test_what_a_file_names_is_hidden(tmp_path: Path, invoke: Invoke) -> None:
    file = jsonl_file(tmp_path / "x.jsonl", [line(0, "It reads sk-planted0123456789 there.")])
    (tmp_path / "redact.yaml").write_text("patterns: ['sk-[a-z0-9]{10,}']\n")
    assert invoke("import", file, "--to", tmp_path / "t", "--redact", tmp_path / "redact.yaml").code == 0
    shown = invoke("sql", tmp_path / "t", "SELECT explanation FROM explanations")
    assert "It reads [redacted] there." in shown.out
    (tmp_path / "redact.yaml").write_text("patterns: []\n")
    refused = invoke("import", file, "--to", tmp_path / "u", "--redact", tmp_path / "redact.yaml").refused()
    assert "name patterns or a function" in refused
