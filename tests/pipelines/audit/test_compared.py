"""New and gone are claimed only of what both runs could say."""

from __future__ import annotations

from pathlib import Path

import pytest

from nla_ray.audit.report.model import Report
from nla_ray.config.audit import AuditConfig
from nla_ray.pipelines.audit.run import audit
from tests.audit.planted import Row, Says, corpus, in_documents, never
from tests.audit.tables import write_pack, write_tables


def week(says: Says, *, n: int = 150, fve: float = 0.9, places: int = 6) -> list[Row]:
    controls = {"shuffled": never, "random": never}
    return corpus(n, says, controls, places=places, share=0.3, fve=fve)


def compared(folder: Path, before: list[Row], after: list[Row], **values: object) -> Report:
    for name, rows in (("before", before), ("after", after)):
        write_tables(folder / name, rows, name)
    pack = write_pack(folder / "pack.yaml", "sabotage", "privacy")
    fixed = {"before": {"tables": str(folder / "before")}, "output": str(folder / "report")}
    source = {"tables": str(folder / "after")}
    config = AuditConfig.model_validate(fixed | {"source": source, "packs": [str(pack)]} | values)
    return audit(config).report


def claims(report: Report) -> tuple[int, int, set[str | None]]:
    assert report.comparison is not None
    states = {one.state for one in report.findings if one.status == "finding"}
    return report.comparison.new, report.comparison.gone, states


SOME = in_documents(10, 1.0, "sabotage")
OTHER = in_documents(10, 1.0, "privacy", "sabotage")


def test_what_both_runs_could_say_is_new_or_gone(tmp_path: Path) -> None:
    found = compared(tmp_path, week(SOME), week(OTHER))
    assert claims(found) == (30, 15, {"new", "absent"})


@pytest.mark.parametrize(
    "values", [{"gates": {"fidelity": 0.95}}, {"gates": {"fidelity": 0.6}}], ids=["both", "before alone"]
)
def test_nothing_is_new_or_gone_where_a_gate_fails(tmp_path: Path, values: dict[str, object]) -> None:
    found = compared(tmp_path, week(SOME, fve=0.5), week(OTHER), **values)
    assert found.verdict == "not reportable" and claims(found)[:2] == (0, 0)
    assert not claims(found)[2] & {"new", "absent"}


def test_nothing_is_gone_that_was_not_judged_or_not_read_again(tmp_path: Path) -> None:
    few = compared(tmp_path / "few", week(SOME), week(OTHER, n=60))
    assert few.verdict == "insufficient evidence" and claims(few)[:2] == (0, 0)
    half = compared(tmp_path / "half", week(SOME, n=240), week(never, n=120))
    assert claims(half) == (0, 12, {"absent"})
