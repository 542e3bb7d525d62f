"""`nla-ray review` as a user meets it: a sheet and its labels, the terminal, what follows in the audit."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nla_ray.errors import Exit
from nla_ray.store import connect
from tests.audit.planted import corpus, in_documents, never
from tests.audit.tables import write_config, write_pack, write_tables
from tests.cli.conftest import Invoke

Line = dict[str, str]


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of the summary are not wrapped."""
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    """The configuration of an audit of 100 documents, of which 20 speak of sabotage."""
    rows = corpus(
        100, in_documents(5, 1.0, "sabotage"), {"shuffled": never, "random": never}, places=4, share=0.4
    )
    return write_config(
        tmp_path / "audit.yaml",
        source={"tables": write_tables(tmp_path / "tables", rows)},
        output=str(tmp_path / "report"),
        packs=[str(write_pack(tmp_path / "pack.yaml", "sabotage"))],
    )


@pytest.fixture
def labelled(audit: Path, invoke: Invoke, tmp_path: Path) -> Callable[..., Path]:
    """Writes a file of labels: the sheet with what `say` makes of each line."""
    assert invoke("review", audit, "--sheet", tmp_path / "sheet.csv").code == 0

    def write(
        say: Callable[[Line], str], reviewer: str = "Ann", change: Callable[[Line], None] | None = None
    ) -> Path:
        with (tmp_path / "sheet.csv").open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.DictReader(file))
        for line in lines:
            line |= {"verdict": say(line), "reviewer": reviewer}
        if change is not None:
            change(lines[0])
        out = io.StringIO()
        writer = csv.DictWriter(out, lines[0])
        writer.writeheader()
        writer.writerows(lines)
        path = tmp_path / f"labels-{reviewer}.csv"
        path.write_text(out.getvalue())
        return path

    return write


def right(line: Line) -> str:
    return "true" if "sabotage" in line["text"] else "false"


def detector(tmp_path: Path) -> dict[str, object]:
    """The detector in the report, and its verdict's counts."""
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    (found,) = report["detectors"]
    return {**found, "notes": [one["title"] for one in report["cannot_claim"]]}


def test_a_reviewed_detector_is_no_longer_unvalidated(
    audit: Path, labelled: Callable[..., Path], invoke: Invoke, tmp_path: Path
) -> None:
    assert invoke("audit", audit).code == Exit.FINDINGS
    assert detector(tmp_path)["validation"] is None
    assert "Precision on real explanations" in detector(tmp_path)["notes"]
    ended = invoke("review", audit, "--labels", labelled(right))
    assert ended.code == 0 and "60/60" in ended.out and "0.84-1.00" in ended.out
    again = invoke("audit", audit)
    assert again.code == Exit.FINDINGS and "finished before" not in again.out
    found = detector(tmp_path)
    assert found["validation"]["precision"] == {
        "rate": 1.0,
        "low": pytest.approx(0.84, abs=0.02),
        "high": 1.0,
    }
    assert "Precision on real explanations" not in found["notes"]
    assert "reviewed by Ann" in (tmp_path / "report" / "report.html").read_text()
    assert "finished before" in invoke("audit", audit).out


def test_a_detector_that_is_mostly_wrong_raises_no_finding(
    audit: Path, labelled: Callable[..., Path], invoke: Invoke, tmp_path: Path
) -> None:
    invoke("review", audit, "--labels", labelled(lambda line: "false"))
    assert invoke("audit", audit).code == Exit.DONE
    assert detector(tmp_path)["status"] == "experimental"
    newest = "SELECT DISTINCT status FROM findings"
    assert connect(tmp_path / "tables").sql(newest).fetchall() == [("experimental",)]


def test_results_have_agreement_and_a_block_for_the_pack(
    audit: Path, labelled: Callable[..., Path], invoke: Invoke
) -> None:
    for reviewer in ("Ann", "Bo\u202e"):
        invoke("review", audit, "--labels", labelled(right, reviewer))
    ended = invoke("review", audit, "--results")
    assert "Krippendorff's alpha 1.00 (1.00 to 1.00) on 74 explanations" in ended.out
    assert "sabotage:\n  validation:\n    tp: 60\n    fp: 0\n" in ended.out
    assert "Bo\\u202E" in ended.out and "\u202e" not in ended.out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"text": "It speaks of nothing."}, "was edited"),
        ({"hit": "ffffffffffff-0"}, "is of another review than"),
        ({"verdict": "maybe"}, "allowed are true, false, unclear"),
        ({"reviewer": ""}, "no reviewer"),
    ],
)
def test_a_file_that_cannot_be_right_is_refused(
    change: Line, words: str, audit: Path, labelled: Callable[..., Path], invoke: Invoke, tmp_path: Path
) -> None:
    path = labelled(right, change=lambda line: line.update(change))
    assert words in invoke("review", audit, "--labels", path).refused()
    assert not (tmp_path / "tables" / "reviews").exists()


def test_a_reviewer_cannot_contradict_themselves_by_a_file(
    audit: Path, labelled: Callable[..., Path], invoke: Invoke, tmp_path: Path
) -> None:
    path = labelled(right)
    invoke("review", audit, "--labels", path)
    assert "verdicts kept: 0; there before: 74" in invoke("review", audit, "--labels", path).out
    refused = invoke("review", audit, "--labels", labelled(lambda line: "unclear", "ANN")).refused()
    assert "'ANN' says unclear of hit" in refused and "said true before; nothing was kept" in refused


def test_in_the_terminal_one_key_is_a_verdict_and_the_rest_waits(
    audit: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("t\nf\nb\nu\ns\nx\nq\n"))
    ended = invoke("review", audit, "-r", "Ann")
    assert "verdicts kept: 3; judged: 2 of 74" in ended.out and "you said false" in ended.out
    monkeypatch.setattr("sys.stdin", io.StringIO("t\n"))
    assert "verdicts kept: 1; judged: 3 of 74" in invoke("review", audit, "-r", "Ann").out
    asked = "SELECT verdict, count(*) FROM reviews GROUP BY ALL ORDER BY ALL"
    assert connect(tmp_path / "tables").sql(asked).fetchall() == [("true", 2), ("unclear", 1)]


def test_a_note_stays_with_its_explanation_until_it_is_changed(
    audit: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The second is noted and left by `b`; the first is noted, and judged again without another note."""
    monkeypatch.setattr("sys.stdin", io.StringIO("n\nfirst\nt\nn\nsecond\nb\nf\nt\nq\n"))
    ended = invoke("review", audit, "-r", "Ann")
    assert "you said true, noting: first" in ended.out
    asked = "SELECT verdict, note FROM reviews ORDER BY said_at"
    kept = connect(tmp_path / "tables").sql(asked).fetchall()
    assert kept == [("false", "first"), ("true", "")]


def test_what_cannot_be_asked_for_is_refused(audit: Path, invoke: Invoke, tmp_path: Path) -> None:
    assert "there is none of this id" in invoke("review", audit, "-d", "secrecy").refused()
    assert "give one" in invoke("review", audit, "--page", "--results").refused()
    assert "give a name" in invoke("review", audit, "-r", " ").refused()
    (tmp_path / "there.csv").write_text("mine")
    assert "name another file" in invoke("review", audit, "--sheet", tmp_path / "there.csv").refused()
    invoke("review", audit, "--labels", tmp_path / "none.csv").refused(Exit.MISSING)
