"""The guide's configurations load, its commands have the options they use, its links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from nla_ray.cli import app
from nla_ray.config.decode import DecodeConfig, DecodeFile
from nla_ray.config.loading.load import load
from nla_ray.config.pairs.known import named_pairs
from nla_ray.config.reading.positions import Positions

DOCS = Path(__file__).parents[1] / "docs"
GUIDE = (DOCS / "guide.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.S | re.M)


def commands() -> list[list[str]]:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("nla-ray ")]


WHOLE = [block for block in blocks("yaml") if block.startswith("output:")]
PARTS = [block for block in blocks("yaml") if block not in WHOLE]


@pytest.mark.parametrize("number", range(len(WHOLE)))
def test_every_configuration_loads(number: int, tmp_path: Path) -> None:
    path = tmp_path / "guide.yaml"
    path.write_text(WHOLE[number])
    for models in (one.models for one in load(DecodeFile, path).each()):
        for ref in (models.target, models.av, models.ar):
            assert ref is not None and ref.path.partition(":")[0] in {*named_pairs(), "s3"}


@pytest.mark.parametrize("part", PARTS)
def test_every_part_of_a_configuration_loads(part: str, tmp_path: Path) -> None:
    path = tmp_path / "guide.yaml"
    path.write_text(WHOLE[0] + part)
    load(DecodeConfig, path)


def test_every_choice_of_positions_that_is_named_is_one() -> None:
    table = GUIDE.partition("| `positions` | reads |")[2].partition("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines()[2:]]
    named = [choice for cell in cells for choice in re.findall("`([^`]+)`", cell)]
    assert len(named) > 9
    for choice in named:
        assert Positions.model_validate(choice) != Positions() or choice == "random:10"


@pytest.mark.parametrize("arguments", commands(), ids=" ".join)
def test_every_command_parses(arguments: list[str]) -> None:
    name, *rest = arguments
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    context = command.make_context(name, rest)
    if name == "decode":
        config = DOCS.parent / context.params["config"]
        load(DecodeConfig, config, context.params["overrides"] or ())


def test_the_cluster_job_loads() -> None:
    config = load(DecodeConfig, DOCS.parent / "jobs" / "decode_qwen7b_cluster.yaml")
    assert config.runner.name == "ray" and config.output.startswith("s3://")


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert link.startswith("https://") or (page.parent / link).exists(), link
