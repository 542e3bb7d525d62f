"""What docs/tables.md says of other readers is run as it stands there, by those that are installed."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
from pathlib import Path

import pandas
import pytest
import typer
from pyarrow import ArrowTypeError

from nla_ray.cli import app
from nla_ray.cli.tables.export import Form
from nla_ray.exports.export import export_tables
from nla_ray.exports.record import FORMATS, Choice
from tests.exports.conftest import tables  # noqa: F401 (fixture)

DOC = (Path(__file__).parents[1] / "docs" / "tables.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python\nimport ([\w.]+)\n(.*?)^```$", DOC, re.S | re.M)
COMMANDS = re.findall(r"^nla-ray (.*)$", DOC, re.M)


@pytest.fixture
def out(tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: F811
    """A folder with `out/tables`, all committed, and `out/export`."""
    shutil.copytree(tables, tmp_path / "out" / "tables", ignore=shutil.ignore_patterns("run_id=third"))
    export_tables(str(tables), str(tmp_path / "out" / "export"), Choice(format="parquet"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "out"


@pytest.mark.parametrize(("module", "code"), SNIPPETS)
def test_a_reader_reads_as_it_is_said(out: Path, module: str, code: str) -> None:
    if importlib.util.find_spec(module.partition(".")[0]) is None:
        pytest.skip(f"{module} is not installed here")
    exec(f"import {module}\n{code}")


@pytest.mark.parametrize(
    ("folder", "options"), [("tables", {"partitioning": None}), ("export", {})], ids=["tables", "export"]
)
def test_pandas_has_every_row(out: Path, folder: str, options: dict[str, None]) -> None:
    assert len(pandas.read_parquet(out / folder / "explanations", **options)) == 11


def test_pandas_fails_on_the_folder_as_it_is_said(out: Path) -> None:
    with pytest.raises(ArrowTypeError, match="Unable to merge: Field run_id has incompatible types"):
        pandas.read_parquet(out / "tables" / "explanations")


def test_commands_and_formats_are_those_there_are() -> None:
    for line in COMMANDS:
        command, words = typer.main.get_command(app), shlex.split(line)
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        command.make_context("x", words)
    assert (
        re.findall(r"^\| `(\w+)` \| .*(?:part|folder|RUN_ID|scan_id)", DOC, re.M) == list(FORMATS) == [*Form]
    )
