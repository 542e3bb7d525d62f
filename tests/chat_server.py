"""A chat endpoint on this machine that answers by a function, and keeps what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Said = str | dict[str, Any] | bytes
"""What is said: the content of a message, a whole choice, or the body as it is sent."""
Answer = Callable[[str], tuple[int, Said]]
"""From the last message to a status and what is said."""

FEATURES = "<explanation>\nIt is about {0}.\n\nThe last token is {0}.\n</explanation>"


class Server(ThreadingHTTPServer):
    """`seen` are the bodies of all requests; `answered` the last messages that were answered with 200."""

    daemon_threads = True

    def __init__(self, answer: Answer, *, usage: bool, headers: dict[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer, self.usage, self.more = answer, usage, headers
        self.seen: list[dict[str, Any]] = []
        self.answered: list[str] = []
        self.keys: list[str | None] = []
        self.connections = self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """What goes into `base_url`."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        with self.server.lock:
            self.server.connections += 1

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server, asked = self.server, body["messages"][-1]["content"]
        with server.lock:
            server.seen.append(body)
            server.keys.append(self.headers.get("Authorization"))
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
        status, said = server.answer(asked)
        data = said if isinstance(said, bytes) else _body(said, server.usage)
        with server.lock:
            server.at_once -= 1
            if status == 200:
                server.answered.append(asked)
        self.send_response(status)
        for name, value in server.more.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


def _body(said: str | dict[str, Any], usage: bool) -> bytes:
    choice = {"message": {"content": said}, "finish_reason": "stop"} if isinstance(said, str) else said
    return json.dumps({"choices": [choice]} | ({"usage": {"total_tokens": 100}} if usage else {})).encode()


@contextmanager
def served(answer: Answer, *, usage: bool = True, headers: dict[str, str] | None = None) -> Iterator[Server]:
    """A server for the length of the block."""
    server = Server(answer, usage=usage, headers=headers or {})
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def explains(asked: str) -> tuple[int, str]:
    """An answer of two features that depends on the question."""
    return 200, FEATURES.format(abs(hash(asked)) % 1000)
