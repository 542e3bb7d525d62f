"""Places for tables: a local folder, and a bucket of a real S3 server on this machine."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from moto.server import ThreadedMotoServer

SECRET = "a-secret-key"


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """URL of a moto server on a free port of the loopback interface."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@cache
def client_of(endpoint: str) -> Any:
    """A client of its own, for what no part of nla_ray does."""
    return botocore.session.get_session().create_client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key=SECRET,
    )


@pytest.fixture(scope="session")
def bucket(s3_endpoint: str) -> str:
    """A bucket on that server."""
    client_of(s3_endpoint).create_bucket(Bucket="tables")
    return "tables"


@pytest.fixture
def s3(s3_endpoint: str, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """`s3://` URL of an empty prefix; credentials, endpoint and cache of this process are set for it."""
    use_s3(monkeypatch, s3_endpoint, tmp_path / "cache")
    return f"s3://{bucket}/{uuid.uuid4().hex}/tables"


def use_s3(monkeypatch: pytest.MonkeyPatch, endpoint: str, cache: Path) -> None:
    """Point the usual credential chain at a server of the test."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NLA_RAY_CACHE", str(cache))


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Path or URL under which there is nothing yet."""
    if request.param == "s3":
        return str(request.getfixturevalue("s3"))
    return str(tmp_path / "some [odd] ta'bles")
