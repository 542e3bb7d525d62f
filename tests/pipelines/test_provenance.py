"""Which weights a run used."""

from __future__ import annotations

import os
from itertools import product
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from nla_ray.config.models.reference import ModelRef
from nla_ray.models import planned_directory
from nla_ray.nla.model.adapters.view import make_view
from nla_ray.pipelines.provenance import at_commit, model_record, versions
from tests.store.conftest import client_of

COMMIT, OTHER = "c0ffee" * 6 + "0000", "d" * 40


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
    snapshot = tmp_path / "models--owner--name" / "snapshots" / COMMIT / "av"
    snapshot.mkdir(parents=True)
    before = model_record(ModelRef(path="owner/name", subfolder="av"), snapshot)
    (snapshot / "model.safetensors").write_text("fetched later")
    assert model_record(ModelRef(path="owner/name", subfolder="av"), snapshot) == before
    assert before.commit == COMMIT
    assert model_record(ModelRef(path="owner/name", subfolder="ar"), snapshot).sha256 != before.sha256


def test_an_adapter_is_its_own_files_and_its_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NLA_RAY_CACHE", str(tmp_path / "cache"))
    hub = tmp_path / "models--them--base" / "snapshots"
    for commit in (COMMIT, OTHER):
        (hub / commit).mkdir(parents=True)
        (hub / commit / "config.json").write_text("{}")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter_config.json").write_text("{}")
        (tmp_path / name / "adapter_model.safetensors").write_text(name)
    ref = ModelRef(path="you/tuned", base=ModelRef(path="them/base"))
    views = {
        pair: make_view(tmp_path / pair[0], hub / pair[1])
        for pair in product(("one", "two"), (COMMIT, OTHER))
    }
    digests = {pair: model_record(ref, view).sha256 for pair, view in views.items()}
    assert len(set(digests.values())) == 4
    assert str(at_commit(ref, views["one", OTHER])) == f"you/tuned on them/base@{OTHER}"
    (tmp_path / "one" / "adapter_model.safetensors").write_text("trained on")
    assert model_record(ref, views["one", COMMIT]).sha256 != digests["one", COMMIT]


@pytest.mark.parametrize("place", ["snapshots/model", f"snapshots/{COMMIT}", "models--me--x/snapshots/v1"])
def test_a_folder_of_snapshots_is_not_the_hubs(tmp_path: Path, place: str) -> None:
    folder = tmp_path / place
    folder.mkdir(parents=True)
    before = model_record(ModelRef(path="a"), folder)
    (folder / "model.safetensors").write_text("weights")
    assert before.commit is None
    assert model_record(ModelRef(path="a"), folder).sha256 != before.sha256


def test_a_sidecar_one_level_up_counts_where_it_is_read(tmp_path: Path) -> None:
    ar, sidecar = tmp_path / "ar", tmp_path / "nla_meta.yaml"
    ar.mkdir()
    (ar / "value_head.safetensors").write_text("head")
    digests = []
    for scale in (1, 2):
        sidecar.write_text(f"injection_scale: {scale}\n")
        digests.append(model_record(ModelRef(path="ar"), ar).sha256)
    assert len(set(digests)) == 2
    sidecar.rename(ar / sidecar.name)
    assert model_record(ModelRef(path="ar"), ar).sha256 == digests[1]


def test_a_base_on_s3_is_known_by_its_weights(tmp_path: Path, s3: str) -> None:
    adapter, base = tmp_path / "tuned", f"{s3}/base"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    save_file({"a": torch.zeros(1)}, adapter / "adapter_model.safetensors")
    bucket, _, key = base.removeprefix("s3://").partition("/")
    ref = ModelRef.parse(f"{adapter} on {base}")
    digests = set()
    for weights in (b"weights", b"other weights"):
        for name, data in {"config.json": b"{}", "model.safetensors": weights}.items():
            client_of(os.environ["AWS_ENDPOINT_URL"]).put_object(
                Bucket=bucket, Key=f"{key}/{name}", Body=data
            )
        digests.add(model_record(ref, planned_directory(ref)).sha256)
    assert len(digests) == 2


def test_versions_name_what_determines_results() -> None:
    assert {"nla_ray", "python", "torch", "transformers", "peft"} <= set(versions())
