"""A proxy in front of a real S3 server on which chosen requests go wrong."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

Fault = Callable[["Request"], str | None]
"""What goes wrong with a request: None, `lost` (done, but the answer never arrives), `unconditional` (the
condition is ignored), `reset` (the connection breaks), `silent` (no answer), `cut` (half of the body comes),
`short` (as much, and the length says so), `flip:N` (byte N of the body is changed, counted round), or the
code of an S3 error such as `AccessDenied`."""

SILENCE = 1.0
"""Seconds after which a silent server goes away."""

STATUS = {
    "AccessDenied": 403,
    "ConditionalRequestConflict": 409,
    "ExpiredToken": 400,
    "InternalError": 500,
    "InvalidAccessKeyId": 403,
    "NotImplemented": 501,
    "RequestTimeTooSkewed": 403,
    "SlowDown": 503,
}
_OWN = frozenset({"transfer-encoding", "connection", "content-length"})


class Request(BaseHTTPRequestHandler):
    """One request on its way to the server."""

    protocol_version = "HTTP/1.1"
    upstream: str
    fault: Fault

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = type(self).fault(self)
        if fault in STATUS:
            self._answer(
                STATUS[fault], [], f"<Error><Code>{fault}</Code><Message>no</Message></Error>".encode()
            )
            return
        if fault in ("reset", "silent"):
            self._break_off(fault)
            return
        dropped = {"if-none-match"} if fault == "unconditional" else set()
        headers = {name: value for name, value in self.headers.items() if name.lower() not in dropped}
        server = http.client.HTTPConnection(self.upstream)
        server.request(self.command, self.path, body, headers)
        answer = server.getresponse()
        content = answer.read()
        server.close()
        if fault == "lost":
            self.close_connection = True
            return
        self._answer(answer.status, answer.getheaders(), *spoilt(content, fault))

    def _break_off(self, fault: str) -> None:
        if fault == "silent":
            time.sleep(SILENCE)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes, more: int = 0) -> None:
        """Answer; `more` bytes are announced that do not come."""
        self.send_response(status)
        length = str(len(content) + more)
        self.close_connection = self.close_connection or more > 0
        for name, value in headers:
            if self.command == "HEAD" and name.lower() == "content-length":
                length = value
            elif name.lower() not in _OWN:
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _pass

    def handle(self) -> None:
        """Requests until the client hangs up, in whatever way."""
        with suppress(ConnectionError):
            super().handle()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def spoilt(content: bytes, fault: str | None) -> tuple[bytes, int]:
    """A body with its fault, and how many bytes are announced and missing."""
    kind, _, at = (fault or "").partition(":")
    half = content[: len(content) // 2]
    if kind == "cut":
        return half, len(content) - len(half)
    if kind == "flip" and content:
        changed = bytearray(content)
        changed[int(at) % len(content)] ^= 1 << int(at) % 8
        return bytes(changed), 0
    return (half if kind == "short" else content), 0


@contextmanager
def faulty(endpoint: str, fault: Fault) -> Iterator[str]:
    """URL of a proxy to `endpoint` for as long as the block lasts."""
    handler = type(
        "Faulty", (Request,), {"upstream": urlsplit(endpoint).netloc, "fault": staticmethod(fault)}
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
