"""S3 as it is: answers that get lost, conflicts, refusals, servers that ignore conditions."""

from __future__ import annotations

import pickle
import socket
import uuid
from collections.abc import Callable
from pathlib import Path

import botocore.httpsession
import pytest

from nla_ray.cache import cache_folder
from nla_ray.errors import InputError
from nla_ray.store import connect, open_run, open_store, verify
from nla_ray.store.places.remote.s3 import _HASTY
from tests.store.conftest import BUCKET, READER, SECRET, use_s3
from tests.store.faults import Fault, Request, faulty
from tests.store.rows import RECORD, plan_of, rows_of
from tests.store.seaweed import free_ports


def puts(times: int, fault: str) -> Fault:
    """A fault of the first PUTs."""
    left = [fault] * times

    def decide(request: Request) -> str | None:
        return left.pop() if request.command == "PUT" and left else None

    return decide


@pytest.mark.parametrize("fault", ["lost", "ConditionalRequestConflict", "SlowDown"])
def test_a_write_that_went_through_is_a_success_whatever_was_answered(
    url: str, server: str, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """After a lost answer the client repeats the PUT and is refused (412) by its own object."""
    with faulty(server, puts(1, fault)) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        assert open_store(url).put_new("unit", b"mine")
        assert not open_store(url).put_new("unit", b"mine")
        assert open_store(url).get("unit") == b"mine"


def test_a_store_that_ignores_conditions_is_refused(
    s3: str, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a server that checks no signature: the proxy takes a signed header away."""
    with faulty(s3_endpoint, lambda request: "unconditional") as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        with pytest.raises(InputError, match="overwrites objects although asked not to"):
            open_run(open_store(s3), plan_of())
        assert open_store(s3).entries("plans/") == []
        open_run(open_store(s3, overwrites=True), plan_of())


def test_a_store_that_knows_no_conditions_is_refused(
    url: str, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with faulty(server, puts(99, "NotImplemented")) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        with pytest.raises(InputError, match="cannot write conditionally"):
            open_store(url).probe()


def test_denied_is_said_in_one_line(url: str, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with faulty(server, lambda request: "AccessDenied") as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        store = open_store(url)
        for act in (
            store.probe,
            lambda: store.get("x"),
            lambda: store.entries(""),
            lambda: store.identify("x"),
        ):
            with pytest.raises(InputError, match=f"{url}: access denied"):
                act()


def test_a_bucket_that_does_not_exist(url: str) -> None:
    for act in (lambda: open_store("s3://nowhere/x").probe(), lambda: connect("s3://nowhere/x")):
        with pytest.raises(InputError, match="the bucket does not exist"):
            act()


@pytest.mark.parametrize(
    ("code", "message"),
    [("ExpiredToken", "have expired; log in again"), ("RequestTimeTooSkewed", "clock is wrong")],
)
def test_credentials_that_hold_no_longer(
    url: str, server: str, monkeypatch: pytest.MonkeyPatch, code: str, message: str
) -> None:
    run = open_run(open_store(url), plan_of(units=2))
    run.write("u0", rows_of("u0"))
    with faulty(server, lambda request: code) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        with pytest.raises(InputError, match=f"{url}: .*{message}"):
            pickle.loads(pickle.dumps(run)).write("u1", rows_of("u1"))  # noqa: S301
    assert run.missing() == ["u1"]


@pytest.mark.parametrize(
    ("key", "secret", "message"),
    [("nobody", SECRET, "access key is not known"), ("key", "wrong", "secret key does not fit")],
)
def test_wrong_credentials(
    seaweedfs_endpoint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    key: str,
    secret: str,
    message: str,
) -> None:
    use_s3(monkeypatch, seaweedfs_endpoint, tmp_path)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    for act in (open_store("s3://tables/x").probe, lambda: connect("s3://tables/x")):
        with pytest.raises(InputError, match=message):
            act()


def test_who_may_only_read_reads_and_writes_nothing(
    seaweedfs_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_s3(monkeypatch, seaweedfs_endpoint, tmp_path)
    url = f"s3://{BUCKET}/{uuid.uuid4().hex}"
    run = open_run(open_store(url), plan_of(units=1))
    run.write("u0", rows_of("u0"))
    run.commit(RECORD)
    before = run.store.entries("")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", READER[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", READER[1])
    assert connect(url).sql("SELECT count(*) FROM all_explanations").fetchall() == [(4,)]
    assert verify(url) == []
    with pytest.raises(InputError, match=f"{url}: access denied"):
        open_run(open_store(url), plan_of("run2"), add=True)
    with pytest.raises(InputError, match="other-bucket/x: access denied"):
        connect("s3://other-bucket/x")
    assert run.store.entries("") == before


def test_an_endpoint_where_nobody_is_fails_at_once(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tries of a first request: a wrong URL is not retried like a server's bad moment."""
    tries: list[object] = []
    (port,) = free_ports(1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setattr(botocore.httpsession.URLLib3Session, "send", counted(tries))
    for act in (open_store(s3).probe, lambda: connect(s3), lambda: verify(s3)):
        tries.clear()
        with pytest.raises(InputError, match=f"{s3}: .*127.0.0.1:{port}.*; check AWS_ENDPOINT_URL") as caught:
            act()
        assert len(tries) == 2 and "\n" not in str(caught.value)


def counted(tries: list[object]) -> Callable[..., object]:
    send = botocore.httpsession.URLLib3Session.send

    def counting(session: object, request: object) -> object:
        tries.append(request)
        return send(session, request)

    return counting


def test_a_server_that_never_answers_is_given_up(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setitem(_HASTY, "read_timeout", 0.2)
        with pytest.raises(InputError, match="Read timeout"):
            open_store(s3).probe()


def test_no_credentials(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    with pytest.raises(InputError, match="credentials"):
        open_store(url).get("x")


def test_the_cache_is_used_and_is_never_trusted(
    url: str, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = open_run(open_store(url), plan_of(units=1))
    run.write("u0", rows_of("u0"))
    run.commit(RECORD)
    asked: list[str] = []

    def listen(request: Request) -> None:
        asked.append(f"{request.command} {Path(request.path).suffix}")

    with faulty(server, listen) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        # A unit's rows, and the list of the run's files.
        for spoil, downloads in ((False, 2), (False, 0), (True, 2)):
            for copy in cache_folder().rglob("*.parquet") if spoil else ():
                copy.write_bytes(b"something else")
            asked.clear()
            assert connect(url).sql("SELECT count(*) FROM all_explanations").fetchall() == [(4,)]
            assert asked.count("GET .parquet") == downloads
        assert verify(url) == []
