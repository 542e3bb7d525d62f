"""`nla-ray sweep run` tells a webhook how the week ended, and says where it could not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from nla_ray.errors import Exit
from tests.cli.conftest import Invoke
from tests.fleet.webhook import SECRET, served


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A sweep whose corpus is not there, so that nothing is decoded."""
    path = tmp_path / "sweep.yaml"
    values = {
        "name": "told", "root": str(tmp_path / "root"), "notify": {"url_env": "HOOK"},
        "targets": [{"name": "demo", "target": "demo:target", "av": "demo:av", "ar": "demo:ar"}],
        "corpora": [{"name": "notes", "paths": [str(tmp_path / "{week}.jsonl")], "text": "text"}],
    }  # fmt: skip
    path.write_text(yaml.safe_dump(values))
    return str(path)


def test_a_week_is_told_to_a_webhook(
    config: str, tmp_path: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(200) as server:
        monkeypatch.setenv("HOOK", server.url)
        ended = invoke("sweep", "run", config, "--week", "2026-W48")
        [told] = server.seen
    assert ended.code == told["exit"] == Exit.MISSING and told["state"] == "input missing"
    assert told["counts"]["cells"] == {"missing": 1}
    assert Path(told["links"]["html"]).is_file() and "the webhook was told" in ended.out
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert SECRET not in ended.out + ended.err and SECRET.encode() not in written


def test_an_unreachable_webhook_does_not_change_the_result(
    config: str, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(404) as server:
        monkeypatch.setenv("HOOK", server.url)
        ended = invoke("sweep", "run", config, "--week", "2026-W48", "--json")
    assert ended.code == Exit.MISSING and json.loads(ended.out)["exit"] == Exit.MISSING
    assert "the webhook in HOOK refused the message: status 404; the week's result stands" in ended.err


def test_a_webhook_that_cannot_be_one_is_said_before_anything_runs(
    config: str, tmp_path: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOOK", raising=False)
    assert "environment variable HOOK is not set" in invoke("sweep", "run", config).refused()
    assert not (tmp_path / "root").exists()
