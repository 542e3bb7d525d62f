"""Which weights a run used."""

from __future__ import annotations

from pathlib import Path

from nla_ray.config.reference import ModelRef
from nla_ray.pipelines.provenance import model_record, versions


def test_every_file_counts_and_the_place_does_not(tmp_path: Path) -> None:
    records = []
    for name, content in {"a": "weights", "b": "weights", "c": "other weights"}.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_text(content)
        records.append(model_record(ModelRef(path=name), folder))
    same, again, other = (record.sha256 for record in records)
    assert same == again != other
    assert str(records[0]) == f"a sha256:{same[:16]}"
    (tmp_path / "a" / "tokenizer.json").write_text("{}")
    assert model_record(ModelRef(path="a"), tmp_path / "a").sha256 != same


def test_what_is_from_the_hub_is_known_by_its_commit(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--owner--name" / "snapshots" / "c0ffee" / "av"
    snapshot.mkdir(parents=True)
    before = model_record(ModelRef(path="owner/name", subfolder="av"), snapshot)
    (snapshot / "model.safetensors").write_text("fetched later")
    assert model_record(ModelRef(path="owner/name", subfolder="av"), snapshot) == before
    assert before.commit == "c0ffee"
    assert model_record(ModelRef(path="owner/name", subfolder="ar"), snapshot).sha256 != before.sha256


def test_versions_name_what_determines_results() -> None:
    assert {"nla_ray", "python", "torch", "transformers"} <= set(versions())
