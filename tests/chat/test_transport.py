"""One request's limits, held against real sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from nla_ray.chat.transport import LONGEST_ANSWER, SilentError, Transport, retry_after
from tests.chat_server import served

BODY = b'{"messages": [{"role": "user", "content": "well?"}]}'


@contextmanager
def speaking(*pieces: bytes, pause_s: float = 0.0) -> Iterator[str]:
    """A server that says these pieces to one client, and hangs up."""
    done = threading.Event()

    def speak() -> None:
        client, _ = server.accept()
        with client, suppress(OSError):
            client.recv(1 << 16)
            for piece in pieces:
                client.sendall(piece)
                done.wait(pause_s)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=speak)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        done.set()
        thread.join()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "no answer"),
        (b"gibberish\r\n\r\n", "no answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", "no answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "no answer"),
    ],
)
def test_half_an_answer_is_none(said: bytes, why: str) -> None:
    with speaking(said) as url, pytest.raises(SilentError, match=why):
        Transport(5.0).post(url, BODY, {})


def test_an_answer_that_trickles_is_given_up() -> None:
    pieces = [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", *[b"x"] * 9]
    with speaking(*pieces, pause_s=0.15) as url, pytest.raises(SilentError, match="in time"):
        Transport(0.4).post(url, BODY, {})


def test_an_endless_answer_is_cut_off() -> None:
    with (
        served(lambda asked: (200, b"x" * (LONGEST_ANSWER + 1))) as server,
        pytest.raises(SilentError, match=f"more than {LONGEST_ANSWER} bytes"),
    ):
        Transport(5.0).post(server.url, BODY, {})


def test_connections_are_kept_one_for_each_request_at_once() -> None:
    with served(lambda asked: (200, asked)) as server, closing(Transport(5.0)) as transport:
        for _ in range(9):
            transport.post(server.url, BODY, {})
        assert server.connections == 1
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _: transport.post(server.url, BODY, {}), range(40)))
        assert {one.status for one in found} == {200} and server.connections <= 4


def test_a_redirect_is_an_answer() -> None:
    with served(lambda asked: (307, b"there"), headers={"Location": "/elsewhere"}) as server:
        found = Transport(5.0).post(server.url, BODY, {})
        assert (found.status, found.body, len(server.seen)) == (307, b"there", 1)


@pytest.mark.parametrize(
    ("said", "seconds"), [(None, 0), ("7", 7), ("soon", 0), ("-3", 0), ("9" * 9, 0), ("²", 0),
     ("Mon, 01 Jan 2024 00:00:00 +9999999999999999999", 0)],
)  # fmt: skip
def test_how_long_to_wait(said: str | None, seconds: float) -> None:
    assert retry_after({} if said is None else {"Retry-After": said}) == seconds


def test_how_long_to_wait_until_a_date() -> None:
    now = datetime.now(UTC)
    later = retry_after({"Retry-After": format_datetime(now + timedelta(seconds=90), usegmt=True)})
    assert 0 < later <= 90
    assert retry_after({"Retry-After": format_datetime(now - timedelta(days=1), usegmt=True)}) == 0
