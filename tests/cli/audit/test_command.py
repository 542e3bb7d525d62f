"""`nla-ray audit` as a user meets it: verdict, exit code, files, tables, and what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from nla_ray.config.audit import AuditConfig
from nla_ray.errors import Exit
from nla_ray.store import connect, verify
from tests.audit.planted import Row, Says, at_random, corpus, in_documents, never
from tests.audit.tables import write_config, write_pack, write_tables
from tests.cli.conftest import Invoke

ROOT = Path(__file__).parents[3]
FORMS = ("report.html", "report.json", "report.md", "report.sarif")


def rows(says: Says, n: int = 150, *, seed: int = 0, fve: float = 0.9) -> list[Row]:
    """Documents with six places, and silent controls."""
    return corpus(n, says, {"shuffled": never, "random": never}, places=6, share=0.2, seed=seed, fve=fve)


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of the summary are not wrapped."""
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """The configuration of an audit of 150 documents, of which 15 speak of sabotage."""
    write_tables(tmp_path / "tables", rows(in_documents(10, 1.0, "sabotage")))
    return write_config(
        tmp_path / "audit.yaml",
        source={"tables": str(tmp_path / "tables")},
        output=str(tmp_path / "report"),
        packs=[str(write_pack(tmp_path / "pack.yaml", "sabotage", "privacy"))],
    )


def test_findings_of_a_high_level_fail_the_command(planted: Path, invoke: Invoke, tmp_path: Path) -> None:
    ended = invoke("audit", planted)
    assert ended.code == 5, ended
    assert ended.out.startswith("Do not sign: 15 high findings of 1 kind in 10.0 % of documents.\n")
    assert "numbers: These numbers can be used" in ended.out and "above controls" in ended.out
    assert "15 findings of level high or above" in ended.out and "exit code: 5: findings that" in ended.out
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert ended.out.startswith(report["summary"]) and report["title"] == "Audit of target on corpus.jsonl"
    for form in ("html", "md"):
        assert report["summary"] in (tmp_path / "report" / f"report.{form}").read_text()
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == list(FORMS)
    assert invoke("audit", "run", planted, "fail_on=never").code == 0


def test_names_of_detectors_are_whole_in_80_columns(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    name = "sycophancy_towards_those_who_review_it"
    write_tables(tmp_path / "tables", rows(in_documents(10, 1.0, name)))
    path = write_config(
        tmp_path / "audit.yaml",
        source={"tables": str(tmp_path / "tables")},
        output=str(tmp_path / "report"),
        packs=[str(write_pack(tmp_path / "pack.yaml", name))],
    )
    table = invoke("audit", path).out.partition("detector")[2].partition("\n\n")[0].splitlines()
    assert name in "".join(line.split()[0] for line in table if line.split())


def test_tables_of_findings_and_rates_are_committed(planted: Path, invoke: Invoke, tmp_path: Path) -> None:
    invoke("audit", planted)
    connection = connect(tmp_path / "tables")
    found = connection.sql("SELECT detector, status, count(*) FROM findings GROUP BY ALL").fetchall()
    assert found == [("sabotage", "finding", 15)]
    real = connection.sql(
        "SELECT detector, k, n, detector_verdict FROM rates "
        "WHERE population = 'real' AND unit = 'document' ORDER BY 1"
    ).fetchall()
    assert real == [("privacy", 0, 150, "not distinguishable"), ("sabotage", 15, 150, "above controls")]
    joined = "SELECT count(*) FROM findings JOIN explanations USING (run_id, doc_id)"
    assert connection.sql(joined).fetchall() == [(90,)]
    assert verify(str(tmp_path / "tables")) == []


def test_the_same_audit_again_is_done_and_writes_nothing(
    planted: Path, invoke: Invoke, tmp_path: Path
) -> None:
    invoke("audit", planted)
    before = {
        path: (path.stat().st_mtime_ns, path.read_bytes()) for path in tmp_path.rglob("*.*") if path.is_file()
    }
    ended = invoke("audit", planted)
    assert ended.code == 5 and "finished before; nothing was written" in ended.out
    assert before == {
        path: (path.stat().st_mtime_ns, path.read_bytes()) for path in tmp_path.rglob("*.*") if path.is_file()
    }


@pytest.mark.parametrize("lost", FORMS)
def test_a_lost_report_is_made_again_byte_by_byte(
    lost: str, planted: Path, invoke: Invoke, tmp_path: Path
) -> None:
    invoke("audit", planted)
    before = (tmp_path / "report" / lost).read_bytes()
    (tmp_path / "report" / lost).unlink()
    assert invoke("audit", planted).code == 5
    assert (tmp_path / "report" / lost).read_bytes() == before


def test_the_same_tables_elsewhere_make_the_same_report(
    planted: Path, invoke: Invoke, tmp_path: Path
) -> None:
    invoke("audit", planted)
    (tmp_path / "tables").rename(tmp_path / "moved")
    for audit in (tmp_path / "moved" / "commits").glob("*.json"):
        if audit.stem != "week1":
            audit.unlink()
    invoke("audit", planted, f"source.tables={tmp_path / 'moved'}", f"output={tmp_path / 'second'}")
    for name in FORMS:
        assert (tmp_path / "report" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_results_may_lie_apart_from_the_evidence(planted: Path, invoke: Invoke, tmp_path: Path) -> None:
    before = sorted((tmp_path / "tables").rglob("*"))
    invoke("audit", planted, f"results={tmp_path / 'results'}")
    assert sorted((tmp_path / "tables").rglob("*")) == before
    assert connect(tmp_path / "results").sql("SELECT count(*) FROM findings").fetchall() == [(15,)]


def test_a_finding_shows_its_tokens_in_the_text(planted: Path, invoke: Invoke, tmp_path: Path) -> None:
    invoke("audit", planted)
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    finding = report["findings"][0]
    segments = finding["contexts"][0]["segments"]
    assert "".join(segment["text"] for segment in segments).startswith("They talk about the garden")
    assert {segment["position"] for segment in segments if segment["hit"]} <= set(range(6))
    assert finding["restated"] is False and finding["source"].startswith("corpus.jsonl:")
    evidence = finding["evidence"][0]
    assert evidence["explanation"][evidence["span_start"] :].startswith(evidence["span"])


def test_a_failed_gate_is_not_reportable(planted: Path, invoke: Invoke, tmp_path: Path) -> None:
    ended = invoke("audit", planted, "gates.fidelity=0.95")
    assert ended.code == 3 and ended.out.startswith("Do not use these numbers: 1 gate failed")
    assert "fidelity of the audited population" in ended.out
    statuses = connect(tmp_path / "tables").sql("SELECT DISTINCT status FROM findings").fetchall()
    assert statuses == [("not reportable",)]


def test_missing_controls_are_insufficient_and_say_what_cannot_be_claimed(
    tmp_path: Path, invoke: Invoke
) -> None:
    real = [row for row in rows(in_documents(10, 0.8, "sabotage")) if row.control == "real"]
    pack = write_pack(tmp_path / "pack.yaml", "sabotage")
    config = write_config(
        tmp_path / "audit.yaml", source={"tables": write_tables(tmp_path / "t", real, documents=False)},
        output=str(tmp_path / "report"), packs=[str(pack)],
    )  # fmt: skip
    ended = invoke("audit", config)
    assert ended.code == 4 and "insufficient evidence" in ended.out
    assert "Against the control shuffled" in ended.out and "More than the text says" in ended.out


def test_a_habit_of_the_verbalizer_is_no_finding(tmp_path: Path, invoke: Invoke) -> None:
    says = at_random(0.4, "sabotage")
    made = corpus(150, says, {"shuffled": says, "random": says}, places=6, share=0.3)
    pack = write_pack(tmp_path / "pack.yaml", "sabotage")
    config = write_config(
        tmp_path / "audit.yaml", source={"tables": write_tables(tmp_path / "t", made)},
        output=str(tmp_path / "report"), packs=[str(pack)],
    )  # fmt: skip
    ended = invoke("audit", config)
    assert ended.code == 0 and "not distinguishable" in ended.out and "0 findings" in ended.out


def test_two_weeks_are_compared(planted: Path, invoke: Invoke, tmp_path: Path) -> None:
    write_tables(tmp_path / "next", rows(in_documents(3, 0.8, "sabotage"), seed=1), "week2")
    ended = invoke(
        "audit", "diff", tmp_path / "tables", tmp_path / "next", "--config", planted, "-o", tmp_path / "d"
    )
    assert ended.code == 5 and "150 documents in both" in ended.out and "risen" in ended.out
    assert ended.out.startswith("Do not sign: risen: sabotage (+")
    assert ended.out.index("compared: ") < ended.out.index("closest control, %")
    report = json.loads((tmp_path / "d" / "report.json").read_text())
    assert report["title"] == "Change from run week1 (target) to run week2 (target)"
    assert report["comparison"]["new"] > 25
    assert {one["state"] for one in report["findings"]} >= {"new", "unchanged", "absent"}
    assert [run["role"] for run in report["runs"]] == ["audited", "before"]
    gone = [one for one in report["findings"] if one["state"] == "absent"]
    assert len(gone) == report["comparison"]["gone"] and {one["run_id"] for one in gone} == {"week1"}


def test_a_comparison_without_a_place_of_its_own_replaces_no_other(
    planted: Path, invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one, other = tmp_path / "tables", write_tables(tmp_path / "next", rows(never, seed=1), "week2")
    assert invoke("audit", "diff", other, one, "--config", planted).code == 5
    written = (tmp_path / "report" / "report.json").read_bytes()
    assert invoke("audit", "diff", other, one, "--config", planted).code == 5
    refused = invoke("audit", "diff", one, other, "--config", planted).refused()
    assert "holds the report of another audit; name another place with -o" in refused
    assert (tmp_path / "report" / "report.json").read_bytes() == written
    assert invoke("audit", "diff", other, one).code == 5
    assert "out/audit-diff: holds" in invoke("audit", "diff", one, other).refused()


def test_a_comparison_with_what_is_not_reportable_is_not(
    planted: Path, invoke: Invoke, tmp_path: Path
) -> None:
    poor = write_tables(tmp_path / "poor", rows(in_documents(10, 0.8, "sabotage"), fve=0.3), "week0")
    ended = invoke("audit", planted, f"before.tables={poor}")
    assert ended.code == 3 and "of run week0" in ended.out


def test_runs_under_one_root_are_named(planted: Path, invoke: Invoke, tmp_path: Path) -> None:
    root = tmp_path / "tables"
    write_tables(root, rows(in_documents(10, 0.8, "sabotage"), seed=1), "week2")
    both = invoke("audit", "diff", root, root, "--config", planted).refused()
    assert "before.runs" in both
    nothing = invoke("audit", "diff", tmp_path / "none", tmp_path / "neither").refused(Exit.MISSING)
    assert f"{tmp_path / 'none'}: holds no tables" in nothing
    itself = invoke("audit", "diff", f"{root}#week1", f"{root}#week1", "--config", planted).refused()
    assert "holds the audited run itself (week1)" in itself
    ended = invoke("audit", "diff", f"{root}#week1", f"{root}#week2", "--config", planted)
    assert ended.code == 5 and "no change shown" in ended.out
    assert "has no run week3; there are week1, week2" in invoke(
        "audit", planted, "source.runs=[week3]"
    ).refused(Exit.MISSING)


def test_benign_documents_are_a_column_or_a_run(planted: Path, invoke: Invoke, tmp_path: Path) -> None:
    twins = write_tables(tmp_path / "twins", rows(in_documents(10, 0.8, "sabotage"), seed=3), "twins")
    ended = invoke("audit", planted, f"benign.tables={twins}")
    assert ended.code == 0 and "not distinguishable" in ended.out
    calm = write_tables(tmp_path / "calm", rows(never, seed=3), "calm")
    assert invoke("audit", planted, f"benign.tables={calm}").code == 5
    poor = write_tables(tmp_path / "poor", rows(never, fve=0.3), "poor")
    assert invoke("audit", planted, f"benign.tables={poor}").code == 3
    marked = ["benign_documents.column=truth.kind", "benign_documents.value=calm"]
    assert "or marked" in invoke("audit", planted, f"benign.tables={calm}", *marked).refused()


def test_benign_twins_are_compared_in_pairs_by_a_column(
    planted: Path, invoke: Invoke, tmp_path: Path
) -> None:
    """Documents from 150 on are twins: 15 pairs set it off by their topic, 15 more in the real one alone."""

    def says(rng: np.random.Generator, doc: int, place: int) -> list[str]:
        return ["sabotage"] if doc % 150 < (30 if doc < 150 else 15) else []

    def meta(doc: int) -> str:
        return json.dumps({"kind": "calm" if doc >= 150 else "real", "of": f"pair {doc % 150}"})

    twins = write_tables(tmp_path / "twins", rows(says, 300), meta=meta)
    asked = [f"source.tables={twins}", "benign_documents.column=kind", "benign_documents.value=calm"]
    ended = invoke("audit", planted, *asked, "units.benign_pair=of")
    assert ended.code == 5, ended
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    (result,) = next(one for one in report["detectors"] if one["id"] == "sabotage")["results"]
    benign = next(rate for rate in result["rates"] if rate["population"] == "benign")
    assert benign["method"].startswith("in pairs") and (benign["k"], benign["n"]) == (15, 150)
    # McNemar's one-sided mid-p of 15 that came and none that went.
    assert benign["p"] == pytest.approx(0.5**16 / 0.75) and benign["verdict"] == "above controls"
    lacking = invoke("audit", planted, *asked, "units.benign_pair=nothing").refused()
    assert "units.benign_pair: 300 of 300 documents have no 'nothing'" in lacking


def test_unusable_input_is_one_line(planted: Path, invoke: Invoke, tmp_path: Path) -> None:
    nothing = invoke("audit", planted, f"source.tables={tmp_path / 'no'}")
    assert "holds no tables" in nothing.refused(Exit.MISSING)
    assert "fail_on" in invoke("audit", planted, "fail_on=often").refused()
    assert "sabotage, privacy" in invoke("audit", planted, "detectors=[nothing]").refused()
    bad = tmp_path / "bad.yaml"
    bad.write_text("id: bad\ntitle: Bad\ndescription: none\ndetectors:\n  - id: x\n    title: y\n")
    assert f"{bad}:" in invoke("audit", planted, f"packs=[{bad}]").refused()


def test_tables_of_a_newer_version_are_refused(planted: Path, invoke: Invoke, tmp_path: Path) -> None:
    manifest = tmp_path / "tables" / "commits" / "week1.json"
    values = json.loads(manifest.read_text())
    manifest.chmod(0o644)
    manifest.write_text(json.dumps(values | {"version": 99}))
    assert "upgrade nla_ray" in invoke("audit", planted).refused()


def test_empty_tables_are_refused(planted: Path, invoke: Invoke, tmp_path: Path) -> None:
    empty = write_tables(tmp_path / "empty", [], "none", documents=False)
    assert (
        "no explanation that can be searched" in invoke("audit", planted, f"source.tables={empty}").refused()
    )


def test_text_of_tables_and_packs_has_no_effect_on_a_terminal(
    planted: Path, invoke: Invoke, tmp_path: Path
) -> None:
    values = yaml.safe_load(planted.read_text())
    pack = write_pack(tmp_path / "evil.yaml", "sabotage", title="\x1b[31mred\u202e")
    planted.write_text(yaml.safe_dump(values | {"packs": [str(pack)]}))
    ended = invoke("audit", planted)
    assert ended.code == 5 and "\x1b" not in ended.out and "\u202e" not in ended.out


@pytest.mark.slow
def test_the_job_is_the_command(planted: Path, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, str(ROOT / "jobs" / "audit_sweep.py"), "--config", str(planted), "fail_on=never"],
        capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert "These numbers can be used" in ended.stdout and (tmp_path / "report" / "report.html").exists()


def test_the_shipped_configuration_is_one() -> None:
    path = ROOT / "jobs" / "audit_demo.yaml"
    AuditConfig.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
