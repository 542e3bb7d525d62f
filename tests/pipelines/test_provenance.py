"""Which weights a run used."""

from __future__ import annotations

import hashlib
from pathlib import Path

from nla_ray.config.reference import ModelRef
from nla_ray.pipelines.provenance import file_sha256, model_record, versions


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


def test_a_file_of_the_download_cache_is_known_by_its_blob(tmp_path: Path) -> None:
    blob = tmp_path / "blobs" / ("ab" * 32)
    blob.parent.mkdir()
    blob.write_text("not read")
    snapshot = tmp_path / "snapshots" / "c0ffee"
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").symlink_to(blob)
    assert file_sha256(snapshot / "model.safetensors") == "ab" * 32
    assert model_record(ModelRef(path="owner/name"), snapshot).commit == "c0ffee"


def test_any_other_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"content")
    assert file_sha256(path) == hashlib.sha256(b"content").hexdigest()


def test_versions_name_what_determines_results() -> None:
    assert {"nla_ray", "python", "torch", "transformers"} <= set(versions())
