"""An audit of prompts that were stored in part or not at all: what it finds, and what it says it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import JsonValue

from nla_ray.audit.report.model import Report
from nla_ray.config.audit import AuditConfig
from nla_ray.pipelines.audit.run import audit
from tests.audit.planted import corpus, in_documents, never
from tests.audit.tables import write_pack, write_tables


def report_of(folder: Path, *, documents: bool = True, **recipe: JsonValue) -> Report:
    """Of 150 documents, of which 15 speak of sabotage, in a run with such a recipe."""
    controls = {"shuffled": never, "random": never}
    rows = corpus(150, in_documents(10, 1.0, "sabotage"), controls, places=6, share=0.2, seed=0, fve=0.9)
    tables = write_tables(folder / "tables", rows, documents=documents, recipe=recipe)
    pack = write_pack(folder / "pack.yaml", "sabotage")
    values = {"source": {"tables": tables}, "output": str(folder / "report"), "packs": [str(pack)]}
    return audit(AuditConfig.model_validate(values)).report


def said(report: Report) -> str:
    return "\n".join(f"{note.title}: {note.text}" for note in report.cannot_claim)


@pytest.mark.parametrize(
    ("kind", "restated", "note"),
    [
        ("full", False, None),
        ("window", None, "only windows of the prompt around the explained tokens were stored"),
        ("none", None, "week1: the prompt was not stored (store_text: none)"),
    ],
)
def test_what_was_not_stored_is_not_concluded_from(
    tmp_path: Path, kind: str, restated: bool | None, note: str | None
) -> None:
    report = report_of(tmp_path, documents=kind != "none", store_text=kind)
    assert report.verdict == "reportable" and len(report.findings) == 15
    assert {one.restated for one in report.findings} == {restated}
    assert ("was not stored" in said(report) or "were stored" in said(report)) == (note is not None)
    assert note is None or note in said(report)


def test_what_was_redacted_is_said(tmp_path: Path) -> None:
    assert "What was redacted: week1" in said(report_of(tmp_path, redact={"patterns": ["x"]}))
    assert "redacted" not in said(report_of(tmp_path / "other"))
