"""A webhook: what it is told, when it is told again, and that its address is told to nobody."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nla_ray.errors import ConfigError, Exit
from nla_ray.fleet import notify as module
from nla_ray.fleet.notify import ATTEMPTS, message_of, notify, require_webhook
from tests.fleet.reports import example
from tests.fleet.webhook import SECRET, Server, served


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts the address of a server into the variable HOOK."""

    def put(server: Server) -> str:
        monkeypatch.setenv("HOOK", server.url)
        return "HOOK"

    return put


def test_a_week_is_told(named: Any) -> None:
    with served(200) as server:
        told = message_of(example(), "s3://bucket/fleet/", Exit.FINDINGS)
        assert notify(named(server), told) is None
        assert server.paths == [f"/hooks/{SECRET}?key={SECRET}"]
        [seen] = server.seen
    assert {name: seen[name] for name in ("sweep", "week", "state", "exit")} == {
        "sweep": "fleet", "week": "2026-W48", "state": "findings or a rise", "exit": 5,
    }  # fmt: skip
    counts = seen["counts"]
    assert counts["cells"] == {
        "below policy": 1,
        "findings": 2,
        "missing": 1,
        "not reportable": 1,
        "quiet": 1,
    }
    assert (counts["findings"], counts["new"], counts["gone"], counts["risen"], counts["fallen"]) == (
        2,
        1,
        1,
        1,
        1,
    )
    assert seen["links"]["html"] == "s3://bucket/fleet/sweeps/fleet/weeks/2026-W48/report/report.html"
    assert seen["text"] == "fleet 2026-W48: findings or a rise. All is well."
    assert "It plans to deceive" not in json.dumps(seen)


def test_what_opens_a_place_is_masked() -> None:
    told = message_of(example(), f"https://me:{SECRET}@host/root", Exit.DONE)
    assert SECRET not in json.dumps(told) and "host/root/sweeps/" in told["links"]["html"]


@pytest.mark.parametrize("first", [500, 503, 429, 0])
def test_a_passing_fault_is_tried_again_with_the_same_id(first: int, named: Any) -> None:
    with served(first, first, 204, headers={"Retry-After": "0"}) as server:
        assert notify(named(server), message_of(example(), "/root", Exit.DONE), pause_s=0.01) is None
        assert len(server.seen) == 3 and len({one["id"] for one in server.seen}) == 1


@pytest.mark.parametrize("status", [400, 403, 404, 302, 307])
def test_a_refusal_and_a_redirect_are_final(status: int, named: Any) -> None:
    with served(status, headers={"Location": f"/elsewhere/{SECRET}"}) as server:
        line = notify(named(server), {}, pause_s=0.01)
        assert line == f"the webhook in HOOK refused the message: status {status}; the week's result stands"
        assert len(server.seen) == 1


def test_one_that_stays_away_is_one_line_without_its_address(
    named: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(503) as server:
        line = notify(named(server), {}, pause_s=0.001)
        assert len(server.seen) == ATTEMPTS
    assert line is not None and "status 503; the week's result stands" in line
    assert SECRET not in line and "127.0.0.1" not in line and "\n" not in line
    gone = notify("HOOK", {}, pause_s=0.001)
    assert gone is not None and "no answer (ConnectionRefusedError)" in gone and SECRET not in gone
    monkeypatch.setattr(module, "TIMEOUT_S", 0.2)
    with served(0) as server:
        odd = notify(named(server), {}, pause_s=0.001)
    assert odd is not None and "no answer (BadStatusLine)" in odd and SECRET not in odd


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "is not set"),
        (f"hooks/{SECRET}", "holds no URL"),
        (f"ftp://h/{SECRET}", "holds no URL"),
        (f"https:///{SECRET}", "holds no URL"),
        (f"https://h:port/{SECRET}", "holds no URL"),
        (f"https://[::1/{SECRET}", "holds no URL"),
        (f"https://h/{SECRET} x", "holds no URL"),
        (f"https://h/{SECRET}\u0301", "holds no URL"),
        (f"https://user:{SECRET}@h/x", "holds a user name"),
        (f"http://example.org/{SECRET}", "use https://"),
        (f"http://127.0.0.1.example.org/{SECRET}", "use https://"),
    ],
)
def test_an_address_that_is_none(url: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", url)
    with pytest.raises(ConfigError, match=rf"notify\.url_env: .*HOOK.*{why}") as error:
        require_webhook("HOOK")
    assert SECRET not in str(error.value)
    assert error.value.__context__ is None


@pytest.mark.parametrize(
    "url", ["https://h/x", "http://localhost:1/x", "http://[::1]:1/x", "http://127.0.0.9/"]
)
def test_addresses_that_may_be_told(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", url)
    assert require_webhook("HOOK") == url
