"""Commands run in this process, through the same entry as the console script."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from nla_ray.cli import app
from nla_ray.cli.entry import run
from nla_ray.errors import Exit
from tests.conftest import NlaDirs

TEXT = "the model said that it was true and that the other one is not the thing they had in mind "


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    def refused(self, code: Exit = Exit.UNUSABLE) -> str:
        """The one line of what cannot be done, and its exit code."""
        assert self.code == code, (self.code, self.out, self.err)
        lines = self.err.strip().splitlines()
        assert len(lines) == 1 and lines[0].startswith("error: "), self.err
        return lines[0]


Invoke = Callable[..., Ended]


@pytest.fixture
def invoke(capsys: pytest.CaptureFixture[str]) -> Invoke:
    """`invoke("decode", "config.yaml")`: run `nla-ray` in this process."""

    def call(*arguments: object) -> Ended:
        with pytest.raises(SystemExit) as ended:
            run(app, [str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Ended(int(ended.value.code or 0), captured.out, captured.err)

    return call


@dataclass(frozen=True)
class Job:
    """A small decode of its own copy of a tiny NLA, to be spoilt."""

    config: Path
    target: Path
    av: Path
    ar: Path
    corpus: Path
    output: Path

    def sidecar(self, directory: Path, **changes: object) -> None:
        """Change top-level values of a checkpoint's sidecar."""
        path = directory / "nla_meta.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text(encoding="utf-8")) | changes))

    def model_config(self, directory: Path, **changes: object) -> None:
        """Change top-level values of a checkpoint's config.json."""
        path = directory / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture
def job(tmp_path: Path, nla: Callable[[str], NlaDirs]) -> Job:
    """Three documents, two positions each, every control."""
    names = ("target", "av", "ar")
    for name, source in zip(names, nla("qwen2"), strict=True):
        shutil.copytree(source, tmp_path / name)
    rows = [{"id": f"doc{i}", "text": TEXT * (i + 1), "truth": {"n": i}} for i in range(3)]
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("".join(json.dumps(row) + "\n" for row in rows))
    values = {
        "output": str(tmp_path / "out"),
        "models": {name: str(tmp_path / name) for name in names},
        "corpus": {"paths": [str(corpus)], "text": "text", "id": "id", "meta": ["truth"]},
        "positions": {"n": 2},
        "controls": {"shuffled": 1, "random": 1, "mean": 1, "none": 1},
        "sampling": {"samples": 2, "max_new_tokens": 6},
        "engine": {"slots": 8},
        "prove": False,
    }
    config = tmp_path / "decode.yaml"
    config.write_text(yaml.safe_dump(values))
    return Job(config, *(tmp_path / name for name in names), corpus, tmp_path / "out")
