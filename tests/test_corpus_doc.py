"""What docs/reading/corpus.md shows is what happens: configurations load, its rows and outputs are real."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import pytest

from nla_ray.cli import app
from nla_ray.cli.entry import run
from nla_ray.config.decode import DecodeConfig
from nla_ray.config.loading.load import load
from nla_ray.config.reading.chats import Chats, Dropped, Transcripts
from nla_ray.config.reading.corpus import Corpus
from nla_ray.config.reading.positions import LABELS
from nla_ray.corpus.documents.find import read_documents
from nla_ray.corpus.files.names import format_of

DOC = (Path(__file__).parents[1] / "docs" / "reading" / "corpus.md").read_text(encoding="utf-8")
GOOD = {"id": "good", "messages": [{"role": "user", "content": "x"}]}


def blocks(language: str, text: str = DOC) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.S | re.M)


def section(title: str) -> str:
    """What stands under a heading, up to the next one."""
    return re.split(r"^#+ ", DOC.partition(f" {title}\n")[2], maxsplit=1, flags=re.M)[0]


def cells(text: str) -> list[list[str]]:
    """The cells of the tables in a text, without their heads."""
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows]


@pytest.mark.parametrize("text", blocks("yaml"))
def test_every_configuration_loads(text: str, tmp_path: Path) -> None:
    path = tmp_path / "corpus.yaml"
    path.write_text(text)
    load(DecodeConfig, path)


def test_each_row_has_the_shape_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(blocks("json", section("Chats"))[0])
    corpus = Corpus(paths=(str(path),), messages="messages")
    shapes = [one.chat.shape if one.chat else one.problem for one in read_documents(corpus)]
    named = [row[1].strip("`") for row in cells(section("Chats")) if row[0].isdigit()]
    assert shapes == named and len(named) > 7


def test_every_word_of_the_configuration_is_explained() -> None:
    assert {key for row in cells(section("Chats")) for key in row[0].split("`")} >= Chats.model_fields.keys()
    said = set(re.findall("`([a-z_]+)`", section("What a template leaves out")))
    assert said >= set(get_args(Dropped))
    assert set(re.findall("`([a-z_]+)`", section("Labels"))) >= set(LABELS)
    kinds = {row[0].strip("`") for row in cells(section("Whole transcripts"))}
    assert kinds | {"auto"} >= set(get_args(Transcripts.model_fields["kind"].annotation))
    endings = re.findall(r"`(\.[a-z]+)`", section("Files").partition("\n\n")[0])
    assert all(format_of(f"a{ending}") for ending in endings) and len(endings) > 7


@pytest.mark.parametrize("name", ["logs", "agents"])
def test_the_output_is_real(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for path, text in re.findall(rf"^`({name}/\S+)`:\n\n```json\n(.*?)^```$", DOC, re.S | re.M):
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).write_text(text)
    if name == "logs":
        Path("logs/old").mkdir()
        for other in ("notes.csv", "run.eval", "_SUCCESS"):
            Path("logs", other).touch()
    text = next(one for one in blocks("yaml") if f"output: out/{name}\n" in one)
    Path("run.yaml").write_text(text)
    with pytest.raises(SystemExit) as ended:
        run(app, ["decode", "run.yaml", "--dry-run"])
    printed = capsys.readouterr().out.splitlines()
    at = (
        [section("Files"), section("What a template leaves out")]
        if name == "logs"
        else [section("Whole transcripts")]
    )
    shown = [line for part in at for block in blocks("text", part) for line in block.splitlines()]
    assert (
        len(shown) > 3
        and [line for line in printed if line in shown] == shown
        and ended.value.code in (0, None)
    )


@pytest.mark.parametrize(("line", "reason"), cells(section("Bad input"))[1:], ids=str)
def test_a_bad_line_is_a_failed_row(line: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f"{json.dumps(GOOD)}\n{line.strip('`')}\n")
    good, bad = read_documents(Corpus(paths=(str(path),), messages="messages", id=("id",)))
    assert good.problem is None and reason in str(bad.problem)
