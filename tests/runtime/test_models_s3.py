"""Models on S3: fetched once a node, the same rows and the same identity as from a folder, no others."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch

from nla_ray.config.decode import DecodeConfig
from nla_ray.config.models.reference import ModelRef
from nla_ray.config.runner import Runner
from nla_ray.errors import CheckpointError, InputError, NoFileError
from nla_ray.models import directory_of, pinned
from nla_ray.nla.model.backbone import load_causal_lm
from nla_ray.pipelines.decode import run
from nla_ray.pipelines.decode.planning import Decode
from nla_ray.pipelines.decode.run import decode, plan, stages_of
from nla_ray.pipelines.provenance import model_record
from nla_ray.runtime.workers import Workers
from nla_ray.stages.stage import Stage
from nla_ray.store.places.objects import Store
from tests.cli.conftest import Invoke, invoke  # noqa: F401 (fixture)
from tests.decoded import rows_of, same_rows, sound
from tests.nla.model.adapters.trained import merged_by_peft, outcome, trained
from tests.runtime.conftest import Make
from tests.runtime.stages import Elsewhere
from tests.store.conftest import BUCKET, bucket, client_of, s3, s3_endpoint, use_s3  # noqa: F401 (fixtures)
from tests.store.faults import Request, faulty
from tests.tiny import tiny_checkpoint

PARTS = ("target", "av", "ar")


@pytest.fixture
def requests(
    s3: str,  # noqa: F811
    s3_endpoint: str,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[list[str]]:
    """What is asked of S3 for weights."""
    made: list[str] = []

    def seen(request: Request) -> str | None:
        if request.command == "GET" and ".safetensors" in request.path:
            made.append(request.path)
        return None

    with faulty(s3_endpoint, seen) as endpoint:
        use_s3(monkeypatch, endpoint, tmp_path / "cache")
        yield made


def on_s3(config: DecodeConfig, endpoint: str) -> DecodeConfig:
    """The same models in a bucket, each in a sub-folder, beside what is never fetched."""
    base, named = uuid.uuid4().hex, {}
    for part in PARTS:
        for file in Path(getattr(config.models, part).path).iterdir():
            put(endpoint, f"{base}/{part}/{file.name}", file.read_bytes())
        put(endpoint, f"{base}/{part}/pytorch_model.bin", b"a pickle")
        named[part] = f"s3://{BUCKET}/{base}#{part}"
    models = type(config.models).model_validate(named)
    return config.model_copy(update={"models": models})


def put(endpoint: str, key: str, data: bytes) -> None:
    client_of(endpoint).put_object(Bucket=BUCKET, Key=key, Body=data)


def with_settings(ready: Decode, store: Store) -> Sequence[Stage]:
    """Stages of workers that find S3 as this process does, and have a cache of their own."""
    names = ("AWS_", "NLA_RAY_CACHE")
    settings = {name: value for name, value in os.environ.items() if name.startswith(names)}
    settings["NLA_RAY_CACHE"] += "-of-the-workers"
    return [Elsewhere(stage, settings) for stage in stages_of(ready, store)]


def test_the_rows_are_those_of_the_same_files_in_a_folder(
    make: Make,
    s3_endpoint: str,  # noqa: F811
    requests: list[str],
    invoke: Invoke,  # noqa: F811
) -> None:
    local = make("local", "folder")
    remote = on_s3(make("local", "bucket"), s3_endpoint)
    decode(local)
    decode(remote)
    fetched = len(requests)
    assert fetched > 0 and not [one for one in requests if "pytorch_model.bin" in one]
    sound(remote.output)
    weights = [plan(one)[0].plan.facts["weights"] for one in (local, remote)]
    ours, theirs = ({role: one["sha256"] for role, one in found.items()} for found in weights)  # type: ignore[union-attr,index,call-overload]
    assert ours == theirs
    own = ("run_id", "unit_id", "target", "av", "ar")
    same_rows(rows_of(remote.output), rows_of(local.output), apart=own)
    assert decode(remote).again and len(requests) == fetched, "what is here is not fetched again"
    checked = invoke("check", remote.models.av, remote.models.ar, "--target", remote.models.target)
    assert checked.code == 0 and len(requests) == fetched


@pytest.mark.slow
def test_workers_fetch_the_planned_files_once_and_refuse_others(
    make: Make,
    ray_cluster: None,
    s3_endpoint: str,  # noqa: F811
    requests: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Tasks on the cluster have not the settings of this test: it plans here.
    monkeypatch.setattr(run, "Workers", lambda _: Workers(Runner()))
    config = on_s3(make("pools"), s3_endpoint)
    plan(config)
    planned = len(requests)
    decode(config, stages=with_settings)
    sound(config.output)
    assert len(requests) == 2 * planned, "three actors of one node fetch every model once"
    again = on_s3(make("fused", "changed", seed=1), s3_endpoint)

    def changed(ready: Decode, store: Store) -> Sequence[Stage]:
        _, key = str(again.models.av.path).removeprefix("s3://").split("/", 1)
        put(s3_endpoint, f"{key}/av/config.json", b"{}")
        return with_settings(ready, store)

    with pytest.raises(InputError, match="changed since it was planned"):
        decode(again, stages=changed)


def test_what_is_not_there_or_would_run_is_refused(
    make: Make,
    requests: list[str],
    s3: str,  # noqa: F811
) -> None:
    config = make("local")
    missing = config.models.av.model_copy(update={"path": f"{s3}/no-such-model"})
    with pytest.raises(NoFileError, match=r"no-such-model: no such model"):
        decode(config.model_copy(update={"models": config.models.model_copy(update={"av": missing})}))
    with pytest.raises(CheckpointError, match="is not run"):
        pinned(missing.model_copy(update={"trust_remote_code": True}))


def test_a_gguf_file_on_s3_is_converted_once_and_another_in_its_place_refused(
    s3_endpoint: str,  # noqa: F811
    requests: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("gguf")
    from tests.gguf_files import tiny_gguf

    _, path = tiny_gguf(tmp_path)
    base = uuid.uuid4().hex
    put(s3_endpoint, f"{base}/tiny.gguf", path.read_bytes())
    named = ModelRef.parse(f"s3://{BUCKET}/{base}#tiny.gguf")
    settled = pinned(named)
    assert settled.revision is not None
    assert directory_of(settled) == directory_of(ModelRef(path=str(path)))
    assert model_record(settled, directory_of(settled)).sha256 == model_record(
        ModelRef(path=str(path)), directory_of(settled)
    ).sha256  # fmt: skip
    put(s3_endpoint, f"{base}/tiny.gguf", path.read_bytes() + bytes(32))
    assert directory_of(settled).is_dir()
    monkeypatch.setenv("NLA_RAY_CACHE", str(tmp_path / "another-machine"))
    with pytest.raises(InputError, match="changed since it was planned"):
        directory_of(settled)


def test_an_adapter_and_its_base_are_fetched_and_pinned(
    tmp_path: Path,
    requests: list[str],
    s3: str,  # noqa: F811
    s3_endpoint: str,  # noqa: F811
) -> None:
    base = tiny_checkpoint("qwen2", tmp_path / "base")
    trained(base, tmp_path / "tuned")
    folder = uuid.uuid4().hex
    for one in (base, tmp_path / "tuned"):
        for file in one.iterdir():
            put(s3_endpoint, f"{folder}/{one.name}/{file.name}", file.read_bytes())
    ref = ModelRef.parse(f"s3://{BUCKET}/{folder}#tuned on s3://{BUCKET}/{folder}#base")
    planned = pinned(ref)
    assert planned.base is not None and planned.revision and planned.base.revision
    assert ModelRef.parse(str(planned)) == planned
    logits = outcome(load_causal_lm(directory_of(planned), dtype=torch.float32, device="cpu"))
    torch.testing.assert_close(logits, outcome(merged_by_peft(base, tmp_path / "tuned")))
    assert len(requests) >= 2
