"""The review as a page: served on the loopback to whoever has the token, until it is ended or left alone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from nla_ray.audit.review.labels import VERDICTS, Label
from nla_ray.errors import InputError, NlaError
from nla_ray.pages.render import environment
from nla_ray.pages.words import shown

if TYPE_CHECKING:
    from nla_ray.pipelines.review.sittings import Sitting

IDLE_S = 3600.0
"""Without a request for so long the server stops."""
MOST_BYTES = 64_000
"""Of a request's body."""
LONGEST_NOTE = 4_000
POLICY = (
    "default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def serve(
    sitting: Sitting, claims: Mapping[str, str], told: Callable[[str], None], idle_s: float = IDLE_S
) -> None:
    """Serve the page until its reviewer ends it or it is left alone; `told` is given its address."""
    desk = _Desk(sitting, claims)
    with _Server(desk) as server:
        try:
            told(f"http://127.0.0.1:{server.server_port}/{desk.token}/")
            while not desk.ended and time.monotonic() - desk.asked < idle_s:
                server.handle_request()
        finally:
            desk.close()


class _Desk:
    """What the page shows, and what becomes of a verdict."""

    def __init__(self, sitting: Sitting, claims: Mapping[str, str]) -> None:
        self._sitting, self._claims, self._lock = sitting, claims, threading.Lock()
        self.token = secrets.token_urlsafe(24)
        self.ended, self.asked = False, time.monotonic()
        self.page, self.policy = _page()

    def items(self) -> list[dict[str, str]]:
        """Everything that is asked about, with what the reviewer said; nothing that tells more than that."""
        with self._lock:
            said = {hit: (row["verdict"], row["note"]) for hit, row in self._sitting.said.items()}
        return [
            {"hit": one.hit, "claim": shown(self._claims[one.detector]), "text": shown(one.text),
             "verdict": said.get(one.hit, ("", ""))[0], "note": said.get(one.hit, ("", ""))[1]}
            for one in self._sitting.items.values()
        ]  # fmt: skip

    def say(self, given: Any) -> None:
        """Keep a verdict. Raises InputError for what is none."""
        fields = given if isinstance(given, dict) else {}
        hit, verdict, note = (fields.get(name) for name in ("hit", "verdict", "note"))
        known = next((one for one in VERDICTS if one == verdict), None)
        if known is None or not isinstance(hit, str) or not isinstance(note, str):
            raise InputError(f"a verdict is a hit, one of {', '.join(VERDICTS)}, and a note")
        with self._lock:
            if self.ended:
                raise InputError("the review has ended; open it again")
            self._sitting.say(Label(hit, known, self._sitting.reviewer, note[:LONGEST_NOTE]))

    def close(self) -> None:
        """Take no more verdicts; one that is being kept is kept first."""
        with self._lock:
            self.ended = True


class _Server(ThreadingHTTPServer):
    """On a free port of the loopback; a request of a browser that says nothing holds nobody up."""

    daemon_threads, timeout = True, 0.5

    def __init__(self, desk: _Desk) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.desk = desk


class _Handler(BaseHTTPRequestHandler):
    """Answers with the token in the path, to this host's name alone, and to its own page alone."""

    server: _Server
    timeout = 30

    def do_GET(self) -> None:
        """The page, and what it asks about."""
        path = self._within()
        if path == "":
            self._answer(200, self.server.desk.page, "text/html; charset=utf-8")
        elif path == "items":
            self._answer(200, json.dumps(self.server.desk.items()).encode())
        elif path is not None:
            self._refuse(404, "there is nothing of this name")

    def do_POST(self) -> None:
        """A verdict, or the end."""
        path = self._within()
        if path is None:
            return
        if self.headers.get("Content-Type") != "application/json":
            self._refuse(415, "only JSON is taken")
        elif path == "say":
            self._say()
        elif path == "end":
            self._answer(200, b"{}")
            self.server.desk.ended = True
        else:
            self._refuse(404, "there is nothing of this name")

    def _say(self) -> None:
        size = self.headers.get("Content-Length", "")
        if not size.isdecimal() or int(size) > MOST_BYTES:
            self._refuse(413, f"at most {MOST_BYTES} bytes are taken")
            return
        try:
            self.server.desk.say(json.loads(self.rfile.read(int(size))))
        except (NlaError, ValueError, RecursionError) as error:
            self._refuse(409, str(error))
        else:
            self._answer(200, b"{}")

    def _within(self) -> str | None:
        """The path behind the token; None where the request was refused."""
        desk, hosts = self.server.desk, [f"{name}:{self.server.server_port}" for name in _NAMES]
        token, slash, path = self.path.removeprefix("/").partition("/")
        origin = self.headers.get("Origin")
        if self.headers.get("Host") not in hosts or origin not in (None, *(f"http://{one}" for one in hosts)):
            self._refuse(403, "asked by another name or another page")
        elif not hmac.compare_digest(f"{token}{slash}".encode(), f"{desk.token}/".encode()):
            self._refuse(403, "the token is wrong; open the address that the command printed")
        else:
            desk.asked = time.monotonic()
            return path
        return None

    def _refuse(self, code: int, why: str) -> None:
        self._answer(code, json.dumps({"error": why}).encode())

    def _answer(self, code: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(code)
        for name, value in (
            ("Content-Type", kind), ("Content-Length", str(len(body))), ("Cache-Control", "no-store"),
            ("Content-Security-Policy", self.server.desk.policy), ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"), ("Cross-Origin-Resource-Policy", "same-origin"),
        ):  # fmt: skip
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        """Nobody needs to know."""
        return "nla-ray"

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the address holds the token."""


_NAMES = ("127.0.0.1", "localhost")


def _page() -> tuple[bytes, str]:
    """The page, and the policy under which only its own style and script take effect."""
    templates = environment("nla_ray.cli.review")
    parts = {
        "style": templates.get_template("pages/style.css").render()
        + templates.get_template("review.css").render(),
        "script": templates.get_template("review.js").render(),
    }
    digests = {
        name: base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for name, one in parts.items()
    }
    return templates.get_template("review.html").render().encode(), POLICY.format(**digests)
