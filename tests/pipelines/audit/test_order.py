"""A report that can be read is one of committed tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from nla_ray.config.audit import AuditConfig
from nla_ray.pipelines.audit.run import audit
from nla_ray.store import connect
from nla_ray.store.runs.run import Run
from tests.audit.planted import corpus, in_documents, never
from tests.audit.tables import write_pack, write_tables


def test_an_audit_that_ends_before_its_commit_or_after_it_has_no_report_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables, output = str(tmp_path / "tables"), tmp_path / "report"
    controls = {"shuffled": never, "random": never}
    hits = in_documents(10, 1.0, "sabotage")
    write_tables(tables, corpus(150, hits, controls, places=6, share=0.2, seed=0, fve=0.9))
    pack = write_pack(tmp_path / "pack.yaml", "sabotage")
    values = {"source": {"tables": tables}, "output": str(output), "packs": [str(pack)]}
    config = AuditConfig.model_validate(values)
    real = Run.commit

    def before(*_: object) -> None:
        raise KeyboardInterrupt

    def after(run: Run, *others: object) -> None:
        real(run, *others)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    for kill, committed in ((before, 0), (after, 1)):
        with monkeypatch.context() as patched:
            patched.setattr(Run, "commit", kill)
            with pytest.raises(KeyboardInterrupt):
                audit(config)
        assert not list(output.rglob("report.*"))
        found = connect(tables).sql("FROM runs WHERE table_name = 'rates'").fetchall()
        assert len(found) == committed
    assert not audit(config).done_before and audit(config).done_before
    assert len(list(output.rglob("report.*"))) == 4
