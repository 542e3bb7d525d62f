"""One HTTP request: its time and the size of its answer are limited, and no redirect is followed."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Any

RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
"""Statuses after which a request is repeated, as after no answer at all; any other one is a refusal."""
LONGEST_PAUSE_S = 60.0
LONGEST_ANSWER = 1 << 20
_CHUNK = 1 << 16


class SilentError(Exception):
    """There was no answer, or none that could be read whole; the message says which in a few words."""


@dataclass(frozen=True)
class Response:
    """An answer, whatever its status."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would send what is secret to another place."""

    def redirect_request(self, *_: Any) -> None:
        return None


class Transport:
    """Posts JSON; safe to use from several threads."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._opener = urllib.request.build_opener(NoRedirect)

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Response:
        """Send a request. Raises SilentError, in whose message nothing of the request stands."""
        request = urllib.request.Request(url, body, {"Content-Type": "application/json", **headers})
        until = time.monotonic() + self._timeout_s
        try:
            try:
                answer = self._opener.open(request, timeout=self._timeout_s)
            except urllib.error.HTTPError as error:
                answer = error
            with answer:
                return Response(answer.status, answer.headers, _whole(answer, until))
        except (OSError, HTTPException) as error:
            raise SilentError(f"no answer ({type(getattr(error, 'reason', error)).__name__})") from None

    def close(self) -> None:
        """Nothing is sent after this."""
        self._opener.close()


def _whole(answer: Any, until: float) -> bytes:
    """The body, if it comes in time: a server that trickles would otherwise hold a request for good."""
    data = bytearray()
    while chunk := answer.read1(_CHUNK):
        data += chunk
        if len(data) > LONGEST_ANSWER:
            raise SilentError(f"an answer of more than {LONGEST_ANSWER} bytes")
        if time.monotonic() > until:
            raise SilentError("no whole answer in time")
    if answer.length:
        raise SilentError("half an answer")
    return bytes(data)


def retry_after(headers: Mapping[str, str] | Message) -> float:
    """Seconds of a Retry-After header, given as a number or a date; 0 where there is none."""
    text = str(headers.get("Retry-After") or "")
    if text.isascii() and text.isdigit() and len(text) < 6:
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    # A date without a zone is UTC.
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
