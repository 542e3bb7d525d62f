"""A client of chat endpoints of the OpenAI kind: one request, its retries, what was answered and used."""

from __future__ import annotations

import json
import os
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from nla_ray.config.chat import ChatConfig
from nla_ray.errors import ConfigError, InputError, UnreachableError

RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
"""Statuses after which a request is repeated, as after no answer at all; any other one is a refusal."""
LONGEST_ANSWER = 1 << 20
LONGEST_PAUSE_S = 60.0


@dataclass(frozen=True)
class Completion:
    """What an endpoint answered. `tokens` read and written as it reports them, 0 where it does not."""

    content: str
    tokens: int = 0
    finish_reason: str | None = None


class RefusedError(InputError):
    """The endpoint will not answer this request, however often it is asked."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Chat:
    """An endpoint; `asker` is the part of the configuration that errors name."""

    def __init__(self, config: ChatConfig, asker: str) -> None:
        """Raises ConfigError where the environment variable of the key is not set."""
        self._config, self._asker = config, asker
        self._key = None if config.key_env is None else os.environ.get(config.key_env)
        if config.key_env is not None and not self._key:
            raise ConfigError(
                f"{asker}.key_env: the environment variable {config.key_env} is not set; set it"
            )
        self._opener = urllib.request.build_opener(NoRedirect)
        self._url = f"{config.base_url.rstrip('/')}/chat/completions"

    def ask(self, body: bytes, may_ask: Callable[[], bool] = lambda: True) -> Completion | None:
        """The answer to a request, asked again with growing pauses while the endpoint is busy.

        `may_ask` is called before each attempt; None where it says no. Raises RefusedError, and
        UnreachableError where the endpoint stays busy or cannot be reached.
        """
        last = self._config.attempts - 1
        for attempt in range(self._config.attempts):
            if not may_ask():
                return None
            try:
                return self._request(body)
            except _BusyError as busy:
                if attempt == last:
                    raise UnreachableError(
                        f"{self._asker} {self._config.base_url}: {busy}; try again later"
                    ) from None
                time.sleep(self._pause(attempt, busy.retry_after))
        return None

    def require_listener(self) -> None:
        """Raise UnreachableError where nobody listens at the endpoint; nothing is asked, nor is a proxy."""
        place = urlsplit(self._config.base_url)
        if place.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(place.netloc):
            return
        port = place.port or (443 if place.scheme == "https" else 80)
        try:
            socket.create_connection((place.hostname or "", port), self._config.timeout_s).close()
        except OSError as error:
            raise UnreachableError(
                f"{self._asker}.base_url: nobody answers at {self._config.base_url} "
                f"({type(error).__name__}); start the server, or correct the URL"
            ) from None

    def _pause(self, attempt: int, asked_for: float) -> float:
        """Seconds: what the endpoint asked for, or doubled with every attempt; shorter for a hasty caller."""
        own = min(2.0**attempt, 30.0) * min(1.0, self._config.timeout_s)
        return min(max(own, asked_for), LONGEST_PAUSE_S)

    def _request(self, body: bytes) -> Completion:
        headers = {"Content-Type": "application/json"}
        headers |= {"Authorization": f"Bearer {self._key}"} if self._key else {}
        request = urllib.request.Request(self._url, body, headers)
        try:
            with self._opener.open(request, timeout=self._config.timeout_s) as response:
                return completion(response.read(LONGEST_ANSWER))
        except urllib.error.HTTPError as error:
            with error:
                if error.code in RETRIED:
                    raise _BusyError(f"status {error.code}", retry_after(error.headers)) from None
                raise RefusedError(
                    f"{self._asker} {self._url}: refused with status {error.code}; see model, key and URL",
                    error.code,
                ) from None
        except (OSError, urllib.error.URLError) as error:
            raise _BusyError(f"no answer ({type(error).__name__})") from None


class _BusyError(Exception):
    """The endpoint may answer later."""

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would send what is secret to another place."""

    def redirect_request(self, *_: Any) -> None:
        return None


def completion(data: bytes) -> Completion:
    """A chat completion as it was sent; its content is empty where there is none."""
    try:
        found = json.loads(data)
        choice = found["choices"][0]
        content, finish = choice["message"]["content"], choice.get("finish_reason")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return Completion("")
    usage = found.get("usage")
    tokens = usage.get("total_tokens") if isinstance(usage, dict) else 0
    return Completion(
        _text(content),
        tokens if isinstance(tokens, int) and tokens > 0 else 0,
        finish if isinstance(finish, str) else None,
    )


def _text(content: object) -> str:
    """A message's content: text, or a list of parts of which some are text."""
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    texts = [part.get("text") for part in parts if isinstance(part, dict) and part.get("type") == "text"]
    return "".join(text for text in texts if isinstance(text, str))


def retry_after(headers: Any) -> float:
    """Seconds of a Retry-After header; 0 where there is none, or a date."""
    text = str(headers.get("Retry-After") or "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0.0
