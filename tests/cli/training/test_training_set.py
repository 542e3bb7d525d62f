"""`nla-ray training-set` end to end, its dry run, and one line for everything that a user can get wrong."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from nla_ray.errors import Exit
from tests.chat_server import explains, served
from tests.cli.conftest import Invoke
from tests.training_sets import tables, values, write_corpus

ROOT = Path(__file__).parents[3]
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, checkpoint: Callable[[str], Path]) -> Write:
    """`write(provider={...})`: the file of a configuration, beside 60 documents."""
    write_corpus(tmp_path)

    def made(**changes: Any) -> Path:
        found = values(tmp_path, checkpoint("qwen2"))
        for name, value in changes.items():
            old = found.get(name)
            found[name] = old | value if isinstance(old, dict) and isinstance(value, dict) else value
        path = tmp_path / "set.yaml"
        path.write_text(yaml.safe_dump(found))
        return path

    return made


def test_it_builds_says_what_it_built_and_goes_on(invoke: Invoke, write: Write, tmp_path: Path) -> None:
    with served(explains) as server:
        path = write(provider={"base_url": server.url})
        dry = invoke("training-set", path, "--dry-run")
        assert dry.code == 0 and "about 144 requests" in dry.out and server.seen == []
        assert (
            "budget: too small: provider.max_requests is 50"
            in invoke("training-set", path, "provider.max_requests=50", "--dry-run").out
        )
        spent = invoke("training-set", path, "provider.max_requests=50")
        assert spent.code == 9 and spent.err.startswith(
            "error: provider: the budget is spent (50 of 50 requests)"
        )
        ended = invoke("training-set", path)
        assert ended.code == 0, ended.err
        asked = len(server.seen)
        again = invoke("training-set", path)
    manifest = json.loads((tmp_path / "set" / "manifest.json").read_text())
    assert asked == manifest["explaining"]["requests"] == len(server.seen)
    for name, table in tables(tmp_path / "set").items():
        assert manifest["splits"][name]["rows"] == table.num_rows and name in ended.out
    assert "copies: 0 equal and 0 nearly equal to another of 60 documents" in ended.out
    assert f"{asked} requests, {asked * 100:,} tokens" in ended.out
    assert again.code == 0 and "(built before; nothing was done)" in again.out


def test_the_demo_world_in_one_command(invoke: Invoke, tmp_path: Path) -> None:
    ended = invoke(
        "training-set", ROOT / "jobs/training_set_demo.yaml", f"output={tmp_path}/set", "corpus.limit=40"
    )
    assert ended.code == 0, ended.err
    for row in tables(tmp_path / "set")["av_sft"].to_pylist():
        assert json.loads(row["meta"])["truth"]["item"] in row["response"]


def test_without_a_provider_nothing_is_said_to_be_dropped(
    invoke: Invoke, write: Write, tmp_path: Path
) -> None:
    path = write()
    alone = {"provider": None, "shares": {"av_sft": 0, "ar_sft": 0, "rl": 0.5, "held_out": 0.5}}
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | alone))
    dry, ended = invoke("training-set", path, "--dry-run"), invoke("training-set", path)
    for one in (dry, ended):
        assert one.code == 0, one.err
        assert "explanations: none: no provider is configured" in one.out
        assert "planning, 15 documents so far" in one.out, "not a total"
    assert "dropped" not in ended.out and "explaining" not in ended.out


def test_a_dry_run_says_what_cannot_be_used(invoke: Invoke, write: Write, tmp_path: Path) -> None:
    asked, answer = ({"role": role, "content": "it is true"} for role in ("user", "assistant"))
    chats = [[asked, answer], *[[asked, answer | {"reasoning": "why not"}]] * 3]
    lines = (json.dumps({"id": n, "messages": chat}) + "\n" for n, chat in enumerate(chats))
    (tmp_path / "corpus.jsonl").write_text("".join(lines))
    dry = invoke(
        "training-set", write(corpus={"text": None, "messages": "messages", "meta": []}), "--dry-run"
    )
    assert "corpus: 4 documents in 1 units, about 3 of them not usable" in dry.out, dry.err
    assert "not usable: 3 x not in the text of the target's chat template: message 1 " in dry.out


def test_more_documents_of_the_demo_world(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write = runpy.run_path(str(ROOT / "jobs" / "demo_documents.py"))["job"]
    for name in ("one", "two"):
        write(str(tmp_path / name / "world.jsonl"), 5, 7)
    said = capsys.readouterr().out.splitlines()
    assert said == [
        f"5 documents of the demo world, seed 7, with their truth: {tmp_path}/{name}/world.jsonl"
        for name in ("one", "two")
    ]
    first, second = ((tmp_path / name / "world.jsonl").read_text() for name in ("one", "two"))
    assert first == second and [json.loads(line)["id"] for line in first.splitlines()] == [
        f"world-7-{at}" for at in range(5)
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"provider": {"key_env": "NO_SUCH_KEY"}},
            "provider.key_env: the environment variable NO_SUCH_KEY is not set",
        ),
        (
            {"provider": {"base_url": "http://127.0.0.1:9/v1"}},
            "provider.base_url: nobody answers at http://127.0.0.1:9",
        ),
        (
            {"provider": {"base_url": "http://me:secret@127.0.0.1:9/v1"}},
            "provider.endpoint.base_url: must be a URL, http:// or https://",
        ),
        ({"provider": {"instruction": "/no/such/file"}}, "provider.instruction: /no/such/file: no such file"),
        ({"layer": 4}, "layer 4: the model has 4 blocks, allowed 0..3"),
        ({"corpus": {"text": "body"}}, "no column 'body'"),
        ({"corpus": {"paths": ["/no/such.jsonl"]}}, "/no/such.jsonl"),
        ({"target": "/no/such/model"}, "/no/such/model"),
        ({"output": "gs://bucket/x"}, "gs://"),
        ({"provider": {"kind": "demo"}}, "provider.demo.base_url: unknown key"),
    ],
)
def test_what_a_user_can_get_wrong_is_one_line(
    invoke: Invoke, write: Write, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with served(explains) as server:
        path = write(**changes | {"provider": {"base_url": server.url} | changes.get("provider", {})})
        passes, missing = "nobody answers" in words, "/no/such" in words
        code = Exit.TRY_AGAIN if passes else Exit.MISSING if missing else Exit.UNUSABLE
        assert words in invoke("training-set", path).refused(code)
        assert server.seen == [] and not (tmp_path / "set").exists()


def test_documents_without_truth(invoke: Invoke, write: Write, tmp_path: Path) -> None:
    path = write()
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"provider": {"kind": "demo"}}))
    assert "none of 60 usable documents has a column 'truth'" in invoke("training-set", path).refused()
