"""An audit of compacted tables says the same, to the byte."""

from __future__ import annotations

from pathlib import Path

from nla_ray.config.audit import AuditConfig
from nla_ray.pipelines.audit.run import audit
from nla_ray.store import connect, open_store
from nla_ray.store.upkeep.collect import Rules, garbage, remove
from nla_ray.store.upkeep.compact import compact
from tests.audit.planted import corpus, in_documents, never
from tests.audit.tables import write_pack, write_tables


def test_the_same_report_and_the_same_answers_before_and_after(tmp_path: Path) -> None:
    rows = corpus(
        90, in_documents(10, 1.0, "sabotage"), {"shuffled": never, "random": never}, places=4, share=0.2
    )
    tables = write_tables(tmp_path / "tables", rows, units=7)
    pack = str(write_pack(tmp_path / "pack.yaml", "sabotage", "privacy"))
    sql = "SELECT doc_id, position, control, explanation, role FROM all_explanations ORDER BY ALL"

    def look(name: str) -> tuple[bytes, object]:
        config = AuditConfig.model_validate(
            {
                "source": {"tables": tables},
                "results": str(tmp_path / f"results-{name}"),
                "output": str(tmp_path / name),
                "packs": [pack],
            }
        )
        audit(config)
        return (tmp_path / name / "report.json").read_bytes(), connect(tables).sql(sql).fetchall()

    before, store = look("before"), open_store(tables)
    assert compact(store, "week1").files_after == 2
    assert look("after") == before
    remove(store, garbage(store, Rules(days=0, compacted_days=0)))
    assert len(store.entries("explanations/")) == 1 and look("gone") == before
