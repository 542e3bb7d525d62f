"""What the README shows is run as it stands there, with the demo pair."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from nla_ray.cli import app
from nla_ray.cli.entry import run
from nla_ray.config.decode import DecodeConfig
from nla_ray.config.loading.load import load

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ELSEWHERE = re.compile(r"qwen|^(audit|evaluate|import|review|sign|sweep) ")
"""Commands that need what is not there, or have tests of their own."""

DEMO = ROOT / "jobs" / "decode_demo.yaml"


def blocks(language: str) -> list[str]:
    """Fenced code of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.S | re.M)


def commands(word: str) -> list[list[str]]:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith(f"{word} ")]


def nla_ray(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(app, arguments)
    assert ended.value.code == 0, arguments


def test_every_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for text in (README, (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")):
        for target in re.findall(r"^make ([\w-]+)", text, re.M):
            assert re.search(rf"^{target}:", makefile, re.M), target


def test_every_link_leads_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert link.startswith("https://") or (ROOT / link).exists(), link


def test_released_pairs_are_named_as_the_resolver_knows_them() -> None:
    from nla_ray.config.pairs.known import named_pairs

    names = {word.partition(":")[0] for line in commands("nla-ray") for word in line if ":" in word}
    assert names - {"demo"} <= set(named_pairs())
    load(DecodeConfig, ROOT / "jobs" / "decode_qwen7b.yaml", ["corpus.paths=[my_chats.jsonl]"])


def test_the_runner_of_a_cluster_is_one(tmp_path: Path) -> None:
    first, cluster = blocks("yaml")
    (tmp_path / "cluster.yaml").write_text(first + cluster)
    assert load(DecodeConfig, tmp_path / "cluster.yaml").runner.pool.gpus == 1


@pytest.mark.slow
def test_the_walk_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The demo's queries, the check, the configuration, the decode and what is asked of it."""
    monkeypatch.chdir(tmp_path)
    Path("first.yaml").write_text(blocks("yaml")[0])
    output = yaml.safe_load(DEMO.read_text(encoding="utf-8"))["output"]
    nla_ray(["decode", str(DEMO), "runner.name=local", "corpus.limit=12", "positions.n=4"])
    asked = [arguments for arguments in commands("nla-ray") if not ELSEWHERE.search(" ".join(arguments))]
    assert sum(arguments[:2] == ["sql", output] for arguments in asked) == 3
    for arguments in asked:
        nla_ray(arguments)
    capsys.readouterr()
    (python,) = blocks("python")
    exec(compile(python, "README.md", "exec"), {})
    assert "explanation" in capsys.readouterr().out
