"""A proxy in front of a real S3 server on which chosen requests go wrong."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

Fault = Callable[["Request"], str | None]
"""What goes wrong with a request: None, `lost` (done, but the answer never arrives), `unconditional` (the
condition is ignored), or the code of an S3 error such as `AccessDenied`."""

STATUS = {
    "AccessDenied": 403,
    "ConditionalRequestConflict": 409,
    "ExpiredToken": 400,
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
        self._answer(answer.status, answer.getheaders(), content)

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response(status)
        length = str(len(content))
        for name, value in headers:
            if self.command == "HEAD" and name.lower() == "content-length":
                length = value
            elif name.lower() not in _OWN:
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_PUT = do_HEAD = do_POST = _pass

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


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
