"""The fleet's page from what a sweep leaves in a folder: results, audits and earlier weeks."""

from __future__ import annotations

from pathlib import Path

import pytest

from nla_ray.errors import InputError
from nla_ray.fleet.layout import reports_key, week_key
from nla_ray.fleet.report.model import FleetReport
from nla_ray.pipelines.sweep.report import build_fleet_report, write_fleet_report
from nla_ray.store import open_store
from tests.fleet.made import SWEEP, Made, detector_id, write

WEEKS = ("2026-W46", "2026-W47", "2026-W48")
RISEN = ("tuned", "chats", 1)
MADE = Made(
    rates={"2026-W46": {("candidate", "code", 2): 0.15}, "2026-W47": {("candidate", "code", 2): 0.15},
           "2026-W48": {RISEN: 0.2}},
    states={"2026-W48": {("candidate", "chats"): {
        "state": "missing", "exit": 7, "reason": "no such corpus", "report": None, "base_report": None,
        "verdict": None}}},
    verdicts={"2026-W48": {("assistant", "code"): "not reportable"}},
)  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    write(folder, MADE, WEEKS, {"2026-W47": {"seed": 0, "a": 1}, "2026-W48": {"seed": 0, "a": 2}})
    return folder


@pytest.fixture(scope="module")
def report(root: Path) -> FleetReport:
    return build_fleet_report(open_store(root), SWEEP, WEEKS[-1], q=0.05)


def test_the_planted_rise_is_found_and_every_other_cell_is_quiet(report: FleetReport) -> None:
    says = {cell.pair: cell.says for cell in report.cells}
    assert says.pop(RISEN[:2]) == "findings"
    assert says.pop(("candidate", "chats")) == "missing"
    assert says.pop(("assistant", "code")) == "not reportable"
    assert set(says.values()) == {"quiet"} and len(says) == 6
    risen = next(cell for cell in report.cells if cell.pair == RISEN[:2]).by_detector[detector_id(1)]
    assert risen.standing == "new" and risen.last and risen.base
    assert (risen.last.verdict, risen.base.verdict) == ("risen", "risen")
    assert (report.exit, report.state, report.last_week) == (5, "findings or a rise", WEEKS[-2])


def test_what_is_gone_what_it_said_and_the_trend(report: FleetReport) -> None:
    gone = next(cell for cell in report.cells if cell.pair == ("candidate", "code")).by_detector[
        detector_id(2)
    ]
    assert gone.standing == "gone" and gone.last and gone.last.verdict == "fallen"
    texts = [one for one in report.excerpts if (one.model, one.corpus) == RISEN[:2]]
    assert {one.span for one in texts} == {MADE.text} and "new" in {one.state for one in texts}
    line = next(
        one for one in report.trends if (one.model, one.corpus, one.detector) == (*RISEN[:2], detector_id(1))
    )
    assert [point.week for point in line.points] == list(WEEKS)
    assert [point.above for point in line.points] == [False, False, True]


def test_families_weeks_and_changes_of_the_configuration(report: FleetReport) -> None:
    controls, last, base = report.families
    assert (controls.tests, last.tests, base.tests) == (7 * 3, 7 * 3, 5 * 3)
    assert [one.of for one in report.weeks] == list(WEEKS)
    assert report.weeks[0].with_findings == 1 and report.weeks[0].cost == 9 * 1.25
    assert [(one.key, one.before, one.after) for one in report.changed] == [("a", "1", "2")]


def test_links_lead_from_the_page_to_the_audits(report: FleetReport, root: Path) -> None:
    place = root / "sweeps" / SWEEP / "weeks" / WEEKS[-1] / "report"
    assert len(report.links) == 8 + 5
    assert all((place / link).resolve().is_file() for link in report.links.values())


def test_it_is_written_whole_read_again_and_replaced(root: Path, report: FleetReport) -> None:
    for _ in range(2):
        assert write_fleet_report(str(root), SWEEP, WEEKS[-1], q=0.05) == report
    place = root / "sweeps" / SWEEP / "weeks" / WEEKS[-1] / "report"
    assert sorted(path.name for path in place.iterdir()) == ["report.html", "report.json", "report.md"]
    assert FleetReport.model_validate_json((place / "report.json").read_text()) == report
    assert report.json_text() == (place / "report.json").read_text()


def test_an_earlier_week_is_read_from_its_page_or_from_its_audits(tmp_path: Path) -> None:
    write(tmp_path, MADE, WEEKS[:2])
    first = build_fleet_report(open_store(tmp_path), SWEEP, WEEKS[1], q=0.05)
    write_fleet_report(str(tmp_path), SWEEP, WEEKS[0], q=0.05)
    assert build_fleet_report(open_store(tmp_path), SWEEP, WEEKS[1], q=0.05).trends == first.trends
    page = tmp_path / "sweeps" / SWEEP / "weeks" / WEEKS[0] / "report" / "report.json"
    page.write_text("{}")
    assert build_fleet_report(open_store(tmp_path), SWEEP, WEEKS[1], q=0.05) == first


def test_the_policy_decides_what_counts(tmp_path: Path) -> None:
    write(tmp_path, Made(rates={WEEKS[0]: {RISEN: 0.3}}, fail_on="never"), WEEKS[:1])
    report = build_fleet_report(open_store(tmp_path), SWEEP, WEEKS[0], q=0.05)
    assert report.exit == 0 and "below policy" in {cell.says for cell in report.cells}


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    write(tmp_path, Made(models=1, corpora=1), WEEKS[:1])
    store = open_store(tmp_path)
    with pytest.raises(InputError, match="has no week 2026-W01; there are: 2026-W46"):
        build_fleet_report(store, SWEEP, "2026-W01", q=0.05)


def test_a_report_that_is_damaged_or_lost_fails_its_cell_and_a_week_that_is_lost_is_left_out(
    tmp_path: Path,
) -> None:
    write(tmp_path, Made(models=2, corpora=1), WEEKS)
    store, again = open_store(tmp_path), f"--week {WEEKS[0]} --cell assistant/notes --again"
    path = tmp_path / reports_key(SWEEP, WEEKS[0], ("assistant", "notes")) / "last/report.json"
    path.write_text('{"schema_version": 9}')
    first = build_fleet_report(store, SWEEP, WEEKS[0], q=0.05)
    assert [cell.says for cell in first.cells] == ["failed", "quiet"] and first.exit == 2
    assert "not a report that this nla_ray reads" in str(first.cells[0].result.reason)
    assert again in str(first.cells[0].result.reason)
    path.unlink()
    week = tmp_path / week_key(SWEEP, WEEKS[1])
    week.write_text("{")
    last = build_fleet_report(store, SWEEP, WEEKS[2], q=0.05)
    assert [cell.says for cell in last.cells] == ["quiet", "quiet"] and last.exit == 0
    lost, damaged = last.unread
    assert lost.startswith(f"{WEEKS[0]}, assistant on notes, is left out: ") and again in lost
    assert damaged.startswith(f"{WEEKS[1]} is left out: ") and "restore it from a backup" in damaged
    assert [one.of for one in last.weeks] == [WEEKS[0], WEEKS[2]]


def test_an_earlier_week_with_a_page_is_read_from_it_though_its_beginning_is_lost(tmp_path: Path) -> None:
    write(tmp_path, Made(models=1, corpora=1), WEEKS[:2])
    write_fleet_report(str(tmp_path), SWEEP, WEEKS[0], q=0.05)
    (tmp_path / week_key(SWEEP, WEEKS[0])).write_text("{")
    second = build_fleet_report(open_store(tmp_path), SWEEP, WEEKS[1], q=0.05)
    assert [one.of for one in second.weeks] == list(WEEKS[:2]) and second.changed == ()
    assert len(second.unread) == 1 and second.unread[0].startswith(f"what changed since {WEEKS[0]}: ")


def test_a_key_that_leads_out_of_the_root_is_no_link(tmp_path: Path) -> None:
    leads = {"state": "failed", "report": "../../etc", "base_report": "/etc"}
    write(tmp_path, Made(models=1, corpora=1, states={WEEKS[0]: {("assistant", "notes"): leads}}), WEEKS[:1])
    assert build_fleet_report(open_store(tmp_path), SWEEP, WEEKS[0], q=0.05).links == {}
