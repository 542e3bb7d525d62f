"""An audit whose tables, packs and report are on S3."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nla_ray.config.audit import AuditConfig
from nla_ray.errors import InputError, NoFileError
from nla_ray.pipelines.audit.run import audit
from nla_ray.store.places.tree import Tree
from tests.audit.planted import corpus, in_documents, never
from tests.audit.tables import write_pack, write_tables

FORMS = ["report.html", "report.json", "report.md", "report.sarif"]


@pytest.fixture
def values(s3: str, tmp_path: Path) -> dict[str, object]:
    """The configuration of an audit of tables on S3 with a pack on S3."""
    controls = {"shuffled": never, "random": never}
    rows = corpus(150, in_documents(10, 1.0, "sabotage"), controls, places=6, share=0.2, seed=0, fve=0.9)
    write_tables(s3, rows)
    pack = write_pack(tmp_path / "pack.yaml", "sabotage").read_bytes()
    Tree(f"{s3}-packs").write("planted.yaml", pack)
    return {"source": {"tables": s3}, "output": f"{s3}-report", "packs": [f"{s3}-packs"]}


def test_a_report_is_written_to_s3_and_found_there(
    values: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = AuditConfig.model_validate(values)
    first = audit(config)
    report = Tree(config.output)
    assert report.names("") == FORMS and first.output == config.output
    assert json.loads(report.read("report.json") or b"")["audit_id"] == first.report.audit_id
    assert audit(config).done_before
    report.remove("report.md")
    assert not audit(config).done_before and report.names("") == FORMS
    assert not (tmp_path / "s3:").exists()


def test_a_pack_by_its_url_is_the_same_as_its_folder(values: dict[str, object]) -> None:
    one = values | {"packs": [f"{values['packs'][0]}/planted.yaml"]}  # type: ignore[index]
    assert audit(AuditConfig.model_validate(values)).report.audit_id == (
        audit(AuditConfig.model_validate(one)).report.audit_id
    )


def test_a_pack_that_is_not_there_is_named(values: dict[str, object]) -> None:
    with pytest.raises(NoFileError, match="no-such"):
        audit(AuditConfig.model_validate(values | {"packs": ["s3://tables/no-such.yaml"]}))


@pytest.mark.parametrize("output", ["s3:/tables/report", "gs://bucket/report"])
def test_a_url_that_is_none_of_s3_is_refused_before_anything_is_read(output: str) -> None:
    with pytest.raises(InputError, match="s3://bucket/prefix"):
        audit(AuditConfig.model_validate({"source": {"tables": "nowhere"}, "output": output}))
