"""Which weights a run used."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from nla_ray.config.reference import ModelRef
from nla_ray.nla.model.adapters.view import make_view
from nla_ray.pipelines.provenance import at_commit, model_record, versions


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


def test_an_adapter_is_its_own_files_and_its_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NLA_RAY_CACHE", str(tmp_path / "cache"))
    hub = tmp_path / "models--them--base" / "snapshots"
    for commit in ("aaa", "bbb"):
        (hub / commit).mkdir(parents=True)
        (hub / commit / "config.json").write_text("{}")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter_config.json").write_text("{}")
        (tmp_path / name / "adapter_model.safetensors").write_text(name)
    ref = ModelRef(path="you/tuned", base=ModelRef(path="them/base"))
    views = {
        pair: make_view(tmp_path / pair[0], hub / pair[1]) for pair in product(("one", "two"), ("aaa", "bbb"))
    }
    digests = {pair: model_record(ref, view).sha256 for pair, view in views.items()}
    assert len(set(digests.values())) == 4
    assert str(at_commit(ref, views["one", "bbb"])) == "you/tuned on them/base@bbb"
    (tmp_path / "one" / "adapter_model.safetensors").write_text("trained on")
    assert model_record(ref, views["one", "aaa"]).sha256 != digests["one", "aaa"]


def test_versions_name_what_determines_results() -> None:
    assert {"nla_ray", "python", "torch", "transformers", "peft"} <= set(versions())
