"""A webhook on this machine, with a secret in its address, that keeps what it was told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "T0K3N-in-the-path"


class Server(ThreadingHTTPServer):
    """Answers with these statuses in turn, the last one for ever; 0 hangs up."""

    daemon_threads = True

    def __init__(self, statuses: list[int], headers: dict[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.statuses, self.more = statuses, headers
        self.seen: list[dict[str, Any]] = []
        self.paths: list[str] = []

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}/hooks/{SECRET}?key={SECRET}"

    def handle_error(self, *_: Any) -> None:
        pass


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        server = self.server
        server.paths.append(self.path)
        server.seen.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        status = server.statuses.pop(0) if len(server.statuses) > 1 else server.statuses[0]
        if status == 0:
            self.wfile.write(b"no HTTP at all\r\n")
            return
        self.send_response(status)
        for name, value in server.more.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(*statuses: int, headers: dict[str, str] | None = None) -> Iterator[Server]:
    """A server for the length of the block."""
    server = Server(list(statuses), headers or {})
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
