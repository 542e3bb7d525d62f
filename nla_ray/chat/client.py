"""One request to a chat endpoint, its retries, what they cost, and what was answered."""

from __future__ import annotations

import os
import socket
import threading
import time
import urllib.request
from typing import NoReturn
from urllib.parse import urlsplit

from nla_ray.chat.answer import Completion, NoAnswerError, OtherError, completion, loaded, used, words
from nla_ray.chat.transport import LONGEST_PAUSE_S, RETRIED, Response, SilentError, Transport, retry_after
from nla_ray.config.models.chat import ChatConfig
from nla_ray.errors import ConfigError, InputError, UnreachableError

OF_THE_TEXT = frozenset({400, 413, 422})
"""Refusals that may lie in one text: too long, or not wanted."""
FIRST_PAUSE_S = 1.0
FIRST = 5
"""So many texts without an answer, before there is any, lie in the configuration."""


class UnansweredError(InputError):
    """A request gets no answer, however often it is asked.

    `reason`: one of a few, to be counted. `of_the_text`: requests about other texts may be answered.
    """

    def __init__(self, message: str, reason: str, *, of_the_text: bool) -> None:
        super().__init__(message)
        self.reason, self.of_the_text = reason, of_the_text


class Purse:
    """What the attempts at one request may cost; this one is bottomless."""

    def take(self) -> bool:
        """Whether one more attempt may be made."""
        return True

    def pay(self, tokens: int | None) -> None:
        """After each attempt: tokens read and written; 0 where there was no answer, None where none says."""


class Start:
    """Tells a configuration that cannot work from texts that cannot be answered; for several threads."""

    def __init__(self) -> None:
        self._good = self._bad = 0
        self._lock = threading.Lock()

    def good(self) -> None:
        """A text was answered."""
        with self._lock:
            self._good += 1

    def bad(self) -> bool:
        """A text was not; True where none of the first `FIRST` ones was."""
        with self._lock:
            self._bad += 1
            return not self._good and self._bad >= FIRST


class Chat:
    """An endpoint; `asker` is the part of the configuration that errors name, `begins` how answers begin."""

    def __init__(self, config: ChatConfig, asker: str, begins: str) -> None:
        """Raises ConfigError where the environment variable of the key holds none."""
        self._config, self._asker, self._begins = config, asker, begins
        self._key = _key_of(config, asker)
        self._headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        self._url = f"{config.base_url.rstrip('/')}/chat/completions"
        self._transport = Transport(config.timeout_s)
        self._start = Start()

    def close(self) -> None:
        """Nothing is asked after this."""
        self._transport.close()

    def ask(self, body: bytes, purse: Purse | None = None) -> Completion | None:
        """The answer to a request; asked again, after growing pauses, while the endpoint is busy or silent.

        None where the purse allows no attempt. Raises UnansweredError, and UnreachableError where the
        endpoint stays busy, cannot be reached or is no chat endpoint.
        """
        purse = purse or Purse()
        last = self._config.attempts - 1
        for attempt in range(self._config.attempts):
            if not purse.take():
                return None
            try:
                found = self._attempt(body, purse)
                self._start.good()
                return found
            except NoAnswerError as none:
                if not none.again or attempt == last:
                    self._unanswered(f"no answer: {none}; {none.way_out}", str(none))
                asked_for = 0.0
            except _BusyError as busy:
                if attempt == last:
                    raise UnreachableError(
                        f"{self._asker} {self._url}: {busy}, asked {last + 1} times; see that {self._asker}"
                        ".base_url is right and its server runs, or try again later"
                    ) from None
                asked_for = busy.retry_after
            time.sleep(pause_s(attempt, asked_for))
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

    def _attempt(self, body: bytes, purse: Purse) -> Completion:
        """Ask once, and pay. Raises NoAnswerError, _BusyError, UnansweredError."""
        tokens: int | None = 0
        try:
            response = self._transport.post(self._url, body, self._headers)
            if not 200 <= response.status < 300:
                self._failed(response.status, response)
            found = loaded(response.body)
            tokens = used(found)
            return completion(found, self._begins)
        except SilentError as error:
            raise _BusyError(str(error)) from None
        except OtherError as error:
            if error.status is not None:
                self._failed(error.status, response)
            raise _BusyError(f"{error}{self._quoted(response)}") from None
        finally:
            purse.pay(tokens)

    def _failed(self, status: int, response: Response) -> NoReturn:
        quoted = self._quoted(response)
        if status in RETRIED:
            raise _BusyError(f"status {status}{quoted}", retry_after(response.headers))
        message = f"refused with status {status}{quoted}; see model, key and URL"
        reason = f"refused by the endpoint (status {status})"
        if status in OF_THE_TEXT:
            self._unanswered(message, reason)
        raise UnansweredError(f"{self._asker} {self._url}: {message}", reason, of_the_text=False)

    def _unanswered(self, message: str, reason: str) -> NoReturn:
        """Raise for this text; for all of them where none of the first ones was answered."""
        hopeless = self._start.bad()
        message += f"; none of the first {FIRST} requests had an answer" if hopeless else ""
        raise UnansweredError(
            f"{self._asker} {self._url}: {message}", reason, of_the_text=not hopeless
        ) from None

    def _quoted(self, response: Response) -> str:
        said = words(response.body, self._key)
        return f" ({said})" if said else ""


class _BusyError(Exception):
    """The endpoint may answer later."""

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


def pause_s(attempt: int, asked_for: float) -> float:
    """Seconds before another attempt: what the endpoint asked for, or doubled each time."""
    return min(max(FIRST_PAUSE_S * 2.0**attempt, asked_for), LONGEST_PAUSE_S)


def _key_of(config: ChatConfig, asker: str) -> str | None:
    if config.key_env is None:
        return None
    key = os.environ.get(config.key_env, "").strip()
    where = f"{asker}.key_env: the environment variable {config.key_env}"
    if not key:
        raise ConfigError(f"{where} is not set; set it")
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise ConfigError(f"{where} holds what is no key: it has spaces or characters that no header takes")
    return key
