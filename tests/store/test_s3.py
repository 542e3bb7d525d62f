"""S3 as it is: answers that get lost, conflicts, refusals, servers that ignore conditions."""

from __future__ import annotations

from pathlib import Path

import pytest

from nla_ray.errors import InputError
from nla_ray.store import connect, open_run, open_store, verify
from nla_ray.store.cache import cache_folder
from tests.store.faults import Fault, Request, faulty
from tests.store.rows import RECORD, plan_of, rows_of


def puts(times: int, fault: str) -> Fault:
    """A fault of the first PUTs."""
    left = [fault] * times

    def decide(request: Request) -> str | None:
        return left.pop() if request.command == "PUT" and left else None

    return decide


@pytest.mark.parametrize("fault", ["lost", "ConditionalRequestConflict", "SlowDown"])
def test_a_write_that_went_through_is_a_success_whatever_was_answered(
    s3: str, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """After a lost answer the client repeats the PUT and is refused (412) by its own object."""
    with faulty(s3_endpoint, puts(1, fault)) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        assert open_store(s3).put_new("unit", b"mine")
        assert not open_store(s3).put_new("unit", b"mine")
        assert open_store(s3).get("unit") == b"mine"


def test_a_store_that_ignores_conditions_is_refused(
    s3: str, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with faulty(s3_endpoint, lambda request: "unconditional") as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        with pytest.raises(InputError, match="overwrites objects although asked not to"):
            open_run(open_store(s3), plan_of())
        assert open_store(s3).entries("plans/") == []
        open_run(open_store(s3, overwrites=True), plan_of())


def test_a_store_that_knows_no_conditions_is_refused(
    s3: str, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with faulty(s3_endpoint, puts(99, "NotImplemented")) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        with pytest.raises(InputError, match="cannot write conditionally"):
            open_store(s3).probe()


def test_denied_is_said_in_one_line(s3: str, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with faulty(s3_endpoint, lambda request: "AccessDenied") as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        store = open_store(s3)
        for act in (
            store.probe,
            lambda: store.get("x"),
            lambda: store.entries(""),
            lambda: store.identify("x"),
        ):
            with pytest.raises(InputError, match=f"{s3}: access denied"):
                act()


def test_a_bucket_that_does_not_exist(s3: str) -> None:
    for act in (lambda: open_store("s3://nowhere/x").probe(), lambda: connect("s3://nowhere/x")):
        with pytest.raises(InputError, match="the bucket does not exist"):
            act()


def test_no_credentials(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    with pytest.raises(InputError, match="credentials"):
        open_store(s3).get("x")


def test_the_cache_is_used_and_is_never_trusted(
    s3: str, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = open_run(open_store(s3), plan_of(units=1))
    run.write("u0", rows_of("u0"))
    run.commit(RECORD)
    asked: list[str] = []

    def listen(request: Request) -> None:
        asked.append(f"{request.command} {Path(request.path).suffix}")

    with faulty(s3_endpoint, listen) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        for spoil, downloads in ((False, 1), (False, 0), (True, 1)):
            if spoil:
                (copy,) = cache_folder().rglob("*.parquet")
                copy.write_bytes(b"something else")
            asked.clear()
            assert connect(s3).sql("SELECT count(*) FROM all_explanations").fetchall() == [(4,)]
            assert asked.count("GET .parquet") == downloads
        assert verify(s3) == []
