"""Telling a webhook how a week ended. Its address is a secret: it stands in no message, log or result."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPException
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from nla_ray.chat.transport import LONGEST_PAUSE_S, RETRIED, retry_after
from nla_ray.errors import ConfigError
from nla_ray.fleet.layout import week_prefix
from nla_ray.fleet.report.exits import STATES
from nla_ray.fleet.report.model import FleetReport
from nla_ray.fleet.report.write import FOLDER
from nla_ray.ids import digest
from nla_ray.text import masked_values

ATTEMPTS = 5
FIRST_PAUSE_S = 1.0
"""Doubled with every attempt."""
TIMEOUT_S = 10.0
"""For one answer."""


def require_webhook(variable: str) -> str:
    """The address in an environment variable. Raises ConfigError, which does not show it."""
    url = os.environ.get(variable, "").strip()
    if not url:
        raise ConfigError(f"notify.url_env: the environment variable {variable} is not set; set it")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    printable = url.isascii() and url.isprintable() and " " not in url
    if not host or not printable or parts.scheme not in ("http", "https"):
        raise ConfigError(f"notify.url_env: {variable} holds no URL; write https://host/path")
    if parts.username is not None or parts.password is not None:
        raise ConfigError(
            f"notify.url_env: {variable} holds a user name; give the secret in its path or query"
        )
    if parts.scheme == "http" and not _loopback(host):
        raise ConfigError(
            f"notify.url_env: {variable} names http:// on another machine, where it can be read; use https://"
        )
    return url


def notify(variable: str, message: dict[str, Any], *, pause_s: float = FIRST_PAUSE_S) -> str | None:
    """Send a message; None where it was taken, else one line that says why not. The sweep's result stands.

    Tried again with growing pauses after no answer and after the statuses of `RETRIED`; a message has an id,
    as one whose answer was lost arrives twice. Redirects are not followed. Raises ConfigError as
    `require_webhook` does.
    """
    url = require_webhook(variable)
    body, why = json.dumps(message).encode(), ""
    for pause in (*_pauses(pause_s), None):
        why, asked_for = _post(url, body)
        if not why:
            return None
        if asked_for is None:
            return f"the webhook in {variable} refused the message: {why}; the week's result stands"
        if pause is not None:
            time.sleep(min(max(pause, asked_for), LONGEST_PAUSE_S))
    return (
        f"the webhook in {variable} could not be reached in {ATTEMPTS} attempts: {why}; the week's result "
        "stands, and running the sweep again sends it again"
    )


def message_of(report: FleetReport, root: str, code: int) -> dict[str, Any]:
    """What a webhook is told of a week: how it ended, counts and where its pages are; no text of documents.

    `code` is the exit code of the command, which may be another one than that of the page: over budget.
    """
    says = Counter(cell.says for cell in report.cells)
    readings = [one for cell in report.cells for one in cell.readings]
    moved = Counter(one.last.verdict for one in readings if one.last)
    standing = Counter(one.standing for one in readings)
    this = report.weeks[-1]
    place = f"{root.rstrip('/')}/{week_prefix(report.sweep, report.week)}{FOLDER}"
    message = {
        "id": digest("sweep report", root, code, report.json_text())[:32],
        "sweep": report.sweep,
        "week": report.week,
        "state": STATES[code],
        "exit": code,
        "text": f"{report.sweep} {report.week}: {STATES[code]}. {report.sentence}",
        "counts": {
            "cells": dict(sorted(says.items())),
            "findings": sum(one.counted and one.findings > 0 for one in readings),
            "above_controls": this.above,
            "new": standing["new"],
            "gone": standing["gone"],
            "risen": moved["risen"],
            "fallen": moved["fallen"],
            "vectors": this.vectors,
            "units": this.units,
            "reused_units": this.reused_units,
            "quarantined": this.quarantined,
            "gpu_seconds": this.gpu_seconds,
            "cost": this.cost,
        },
        "links": {form: f"{place}/report.{form}" for form in ("html", "json", "md")},
    }
    return {name: masked_values(value) for name, value in message.items()}


def _post(url: str, body: bytes) -> tuple[str, float | None]:
    """Why a message was not taken, empty where it was; after how many seconds another attempt may help."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=TIMEOUT_S):
            return "", None
    except urllib.error.HTTPError as error:
        with error:
            return f"status {error.code}", retry_after(error.headers) if error.code in RETRIED else None
    except (OSError, ValueError, HTTPException) as error:
        # The text of the error may show the address.
        return f"no answer ({type(getattr(error, 'reason', error)).__name__})", 0.0


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would send what is secret to another place."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _pauses(first: float) -> Iterator[float]:
    return (first * 2**attempt for attempt in range(ATTEMPTS - 1))


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
