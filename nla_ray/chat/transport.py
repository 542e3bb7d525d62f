"""One HTTP request: its time and the size of its answer are limited, and no redirect is followed."""

from __future__ import annotations

import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime

import httpx2

RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
"""Statuses after which a request is repeated, as after no answer at all; any other one is a refusal."""
LONGEST_PAUSE_S = 60.0
LONGEST_ANSWER = 1 << 20


class SilentError(Exception):
    """There was no answer, or none that could be read whole; the message says which in a few words."""


@dataclass(frozen=True)
class Response:
    """An answer, whatever its status."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """Posts JSON over connections that are kept; safe to use from several threads."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        # As many connections as are asked for at once; a redirect would send the key to another place.
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=60.0)
        self._client = httpx2.Client(timeout=timeout_s, limits=limits, follow_redirects=False)
        self._close = weakref.finalize(self, self._client.close)

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Response:
        """Send a request. Raises SilentError, in whose message nothing of the request stands."""
        # Not compressed: the limit is of what arrives and of what it means alike.
        fixed = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        until = time.monotonic() + self._timeout_s
        try:
            with self._client.stream("POST", url, content=body, headers=fixed | dict(headers)) as answer:
                return Response(answer.status_code, answer.headers, _whole(answer, until))
        except httpx2.TransportError as error:
            raise SilentError(f"no answer ({type(_first(error)).__name__})") from None

    def close(self) -> None:
        """Close the connections, as happens at the latest when this object goes."""
        self._close()


def _first(error: BaseException) -> BaseException:
    """What an error came of, such as a refused connection."""
    before = error.__cause__ or error.__context__
    return error if before is None else _first(before)


def _whole(answer: httpx2.Response, until: float) -> bytes:
    """The body, if it comes in time: a server that trickles would otherwise hold a request for good."""
    data = bytearray()
    for chunk in answer.iter_raw():
        data += chunk
        if len(data) > LONGEST_ANSWER:
            raise SilentError(f"an answer of more than {LONGEST_ANSWER} bytes")
        if time.monotonic() > until:
            raise SilentError("no whole answer in time")
    return bytes(data)


def retry_after(headers: Mapping[str, str] | Message) -> float:
    """Seconds of a Retry-After header, given as a number or a date; 0 where there is none."""
    text = str(headers.get("Retry-After") or "")
    if text.isascii() and text.isdigit() and len(text) < 6:
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return 0.0
    # A date without a zone is UTC.
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
