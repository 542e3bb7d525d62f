"""Whole audits with a judge and with an embedder, as their configurations say."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nla_ray.config.audit import AuditConfig
from nla_ray.config.detectors.packs import load_packs
from nla_ray.config.loading.load import load
from nla_ray.errors import ConfigError, InputError
from nla_ray.pipelines.audit.run import Outcome, audit
from nla_ray.store import connect
from tests.audit.detect.test_judge import says
from tests.audit.planted import at_random, corpus, in_documents, never
from tests.audit.tables import write_pack, write_tables
from tests.chat_server import Said, Server, served
from tests.pipelines.audit.test_embedder import tiny_encoder

UNREAD = "What the judge has not read"
QUESTION = {"question": {"question": "Does it speak of sabotage or privacy in earnest?"}}


@pytest.fixture
def tables(tmp_path: Path) -> str:
    """150 documents: 15 speak of sabotage, 15 of privacy, and controls of neither."""
    real = in_documents(10, 1.0, "sabotage", "privacy")
    controls = {"shuffled": never, "random": at_random(0.02, "privacy")}
    return write_tables(tmp_path / "tables", corpus(150, real, controls, places=6, share=0.2))


def run(
    tmp_path: Path, tables: str, pack: Path, doing: Callable[[str], None] = lambda _: None, **values: Any
) -> Outcome:
    fixed = {"source": {"tables": tables}, "output": str(tmp_path / "report"), "packs": [str(pack)]}
    return audit(AuditConfig.model_validate(fixed | values), doing)


def judged_by(server: Server, folder: Path, **values: Any) -> dict[str, Any]:
    return {"base_url": server.url, "model": "m", "cache": str(folder / "cache")} | values


def found(tables: str, outcome: Outcome) -> list[tuple[Any, ...]]:
    asked = "SELECT detector, count(*) FROM findings WHERE audit_id = $id AND status = 'finding' GROUP BY ALL"
    return connect(tables).execute(f"{asked} ORDER BY ALL", {"id": outcome.report.audit_id}).fetchall()


def test_a_judge_takes_back_what_patterns_nominate(tmp_path: Path, tables: str) -> None:
    pack = write_pack(tmp_path / "pack.yaml", "sabotage", "privacy", **QUESTION)

    def answer(asked: str) -> tuple[int, str]:
        return says("YES", "speaks of sabotage") if "sabotage" in json.loads(asked)["text"] else says("NO")

    with served(answer) as server:
        judge = judged_by(server, tmp_path)
        outcome = run(tmp_path, tables, pack, judge=judge)
        asked = len(server.seen)
        assert found(tables, outcome) == [("sabotage", 15)] and asked == 2
        assert "judge has not read" not in outcome.report.json_text()
        moved = judge | {"cache": str(tmp_path / "elsewhere"), "concurrency": 1, "timeout_s": 9.0}
        assert run(tmp_path, tables, pack, judge=moved).done_before
    assert '"model":"m"' in outcome.report.config and str(tmp_path) not in outcome.report.config


def test_a_spent_budget_is_told(tmp_path: Path, tables: str) -> None:
    pack = write_pack(tmp_path / "pack.yaml", "sabotage", "privacy", **QUESTION)
    with served(lambda asked: says("YES", "speaks of")) as server:
        outcome = run(tmp_path, tables, pack, judge=judged_by(server, tmp_path, max_requests=1))
    assert [name for name, _ in found(tables, outcome)] == ["sabotage"]
    notes = {note.title: note.text for note in outcome.report.cannot_claim}
    assert "1 texts have no verdict of the judge (1: the budget is spent)" in notes[UNREAD]


@pytest.mark.usefixtures("soon")
def test_answers_without_words_are_told_and_kept_ones_asked_for_again(tmp_path: Path, tables: str) -> None:
    pack = write_pack(tmp_path / "pack.yaml", "sabotage", "privacy", **QUESTION)
    silent = {"message": {"content": None, "reasoning_content": "so"}}

    def answer(asked: str) -> tuple[int, Said]:
        return (200, silent) if "privacy" in json.loads(asked)["text"] else says("YES", "speaks of sabotage")

    with served(answer) as server:
        judge = judged_by(server, tmp_path)
        notes = {
            note.title: note.text for note in run(tmp_path, tables, pack, judge=judge).report.cannot_claim
        }
        assert "1 texts have no verdict of the judge (1: nothing but reasoning)" in notes[UNREAD]
        (kept,) = (tmp_path / "cache").iterdir()
        kept.write_text('{"verdict": "UNCLEAR", "evidence": ""}')
        told: list[str] = []
        again = run(tmp_path, tables, pack, told.append, judge=judge | {"max_requests": 99})
    assert found(tables, again) == [("sabotage", 15)]
    assert "1 kept answers of the judge said nothing and were asked for again" in told


def test_a_report_made_again_is_that_of_the_tables(tmp_path: Path, tables: str) -> None:
    pack = write_pack(tmp_path / "pack.yaml", "sabotage", **QUESTION)
    answers = [says("YES", "speaks of"), says("NO")]
    with served(lambda asked: answers.pop(0)) as server:
        judge = judged_by(server, tmp_path)
        outcome = run(tmp_path, tables, pack, judge=judge)
        (tmp_path / "report" / "report.json").unlink()
        assert run(tmp_path, tables, pack, judge=judge).report == outcome.report
        (tmp_path / "report" / "report.json").unlink()
        shutil.rmtree(tmp_path / "cache")
        with pytest.raises(InputError, match=r"answers otherwise .*; restore judge\.cache"):
            run(tmp_path, tables, pack, judge=judge)


def similar(path: Path) -> Path:
    """A pack with one detector by nearness to what some rows say."""
    near = {"sentences": ["It speaks of sabotage."], "minimum_cosine": 0.9999}
    return write_pack(path, "sabotage", detection=None, similarity=near)


def test_near_sentences_are_found(tmp_path: Path, tables: str) -> None:
    pack, encoder = similar(tmp_path / "pack.yaml"), tiny_encoder(tmp_path / "encoder")
    outcome = run(tmp_path, tables, pack, embedder=str(encoder))
    assert found(tables, outcome) == [("sabotage", 15)]
    (finding,) = {one.span for shown in outcome.report.findings for one in shown.evidence}
    assert finding == "It speaks of sabotage."
    assert run(tmp_path, tables, pack, embedder=str(encoder)).done_before
    tiny_encoder(encoder, seed=1)
    again = run(tmp_path, tables, pack, embedder=str(encoder))
    assert not again.done_before and again.report.audit_id != outcome.report.audit_id
    (facts,) = connect(tables).execute(
        "SELECT facts->'$.models.embedder.sha256' FROM runs WHERE run_id = $id", {"id": again.report.audit_id}
    ).fetchall()[0]  # fmt: skip
    assert len(facts.strip('"')) == 64


def test_what_is_not_configured_is_named(tmp_path: Path, tables: str) -> None:
    with pytest.raises(ConfigError, match=r"detector sabotage: kind similarity .*`embedder`"):
        run(tmp_path, tables, similar(tmp_path / "near.yaml"))
    with pytest.raises(ConfigError, match=r"detector privacy: kind judge .*`judge`"):
        run(tmp_path, tables, write_pack(tmp_path / "ask.yaml", "privacy", **QUESTION))
    assert not list((tmp_path / "tables").rglob("findings"))


def test_sql_is_asked_of_the_audited_tables(tmp_path: Path, tables: str) -> None:
    sql = "SELECT run_id, row_id, sample FROM all_explanations WHERE explanation LIKE '%of sabotage%'"
    outcome = run(tmp_path, tables, write_pack(tmp_path / "pack.yaml", "sabotage", detection=None, sql=sql))
    assert found(tables, outcome) == [("sabotage", 15)]


def test_what_the_method_shows_loads(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "method.md").read_text(encoding="utf-8")
    for name, block in zip(
        ("pack", "audit"), re.findall(r"^```yaml\n(.*?)^```$", page, re.S | re.M), strict=True
    ):
        (tmp_path / f"{name}.yaml").write_text(block)
    config = load(AuditConfig, tmp_path / "audit.yaml")
    assert config.judge is not None and config.judge.key_env and config.embedder is not None
    kinds = [one.kind for one in load_packs([tmp_path / "pack.yaml"]).detectors]
    assert kinds == ["judge", "similarity"]
