"""Questions to S3 that are asked again while what went wrong may pass."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NoReturn, TypeVar

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from nla_ray.errors import InputError, NoFileError, UnreachableError
from nla_ray.store.places.remote.client import connected, new_session

T = TypeVar("T")

PATIENCE = 40.0
"""Seconds after which nothing is asked once more."""

TIMEOUT = 20.0
"""Seconds without an answer after which a request is given up."""

FIRST_WAIT, LONGEST_WAIT = 0.2, 5.0
"""Seconds between two tries: each wait is twice the one before."""

DOUBTS = 10
"""Answers to one question that may differ before none of them is believed."""


class BrokenAnswerError(Exception):
    """An answer that is not what was asked for: cut, or of another length."""


_BROKEN = (BrokenAnswerError, ResponseParserError, ArithmeticError, LookupError, ValueError)
"""What an answer with a changed byte is read as, if it can be read."""

_MAY_PASS = (ClientError, BotoCoreError, HTTPError, OSError, *_BROKEN)
_SETTINGS = (NoCredentialsError, PartialCredentialsError, ParamValidationError)
_WRONG_KEY = frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidBucketName"})
_DENIED, _ABSENT, _REPLACED = 403, 404, 412


def ask(where: str, question: Callable[[Any], T]) -> T:
    """What a question, given a client, returns; it is asked again for `PATIENCE` seconds.

    Raises NoFileError; InputError for what will not pass: wrong keys, settings, an object that was replaced;
    UnreachableError for all else.
    """
    began, wait, tries = time.monotonic(), FIRST_WAIT, 0
    while True:
        tries += 1
        try:
            return question(_client_for(where))
        except _SETTINGS as error:
            raise InputError(f"{where}: cannot read from S3: {error}") from None
        except _MAY_PASS as error:
            _raise_lasting(where, error)
            if time.monotonic() - began + wait > PATIENCE:
                _give_up(where, error, tries, time.monotonic() - began)
            if isinstance(error, ClientError):
                _client.cache_clear()  # credentials may have been renewed where they come from
        time.sleep(wait * random.uniform(0.5, 1))
        wait = min(2 * wait, LONGEST_WAIT)


def agreed(where: str, question: Callable[[], T]) -> T:
    """What two answers in a row say: a byte that was changed on its way is not believed."""
    last = question()
    for _ in range(DOUBTS):
        again = question()
        if again == last:
            return again
        last = again
    raise UnreachableError.at(where, f"{DOUBTS} answers to one question differ from each other")


def _give_up(where: str, error: Exception, tries: int, seconds: float) -> NoReturn:
    raise UnreachableError.at(
        where,
        f"{_answer(error)} ({tries} tries in {seconds:.0f} s; the network, the store or the credentials)",
    ) from None


def _answer(error: Exception) -> str:
    if not isinstance(error, ClientError):
        return str(error) or type(error).__name__
    status, told = _status(error), error.response.get("Error", {})
    denied = "access denied: " if status == _DENIED else ""
    return f"{denied}{told.get('Code')}: {told.get('Message')} (HTTP {status} of {error.operation_name})"


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _raise_lasting(where: str, error: Exception) -> None:
    """Raise what another try would not change."""
    if not isinstance(error, ClientError):
        return
    status = _status(error)
    if status == _ABSENT:
        raise NoFileError(f"{where}: no such file, folder or bucket ({error})") from None
    if status == _REPLACED:
        raise InputError(
            f"{where}: was replaced while it was read; read it when nobody writes it any more"
        ) from None
    if error.response.get("Error", {}).get("Code") in _WRONG_KEY:
        raise InputError(
            f"{where}: cannot read from S3: {_answer(error)}; check the credentials and the endpoint"
        ) from None


def _client_for(where: str) -> Any:
    try:
        return _client(_settings(), TIMEOUT)
    except (BotoCoreError, ValueError) as error:
        raise InputError(
            f"{where}: cannot read from S3: {error}; check AWS_ENDPOINT_URL, AWS_PROFILE"
        ) from None


def _settings() -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_")))


@lru_cache(maxsize=1)
def _client(settings: tuple[tuple[str, str], ...], timeout: float) -> Any:
    """Kept while the settings are the same, for it takes a while to make; it does not try again by itself."""
    once = {"mode": "standard", "total_max_attempts": 1}
    return connected(
        new_session(),
        connect_timeout=timeout,
        read_timeout=timeout,
        retries=once,
        response_checksum_validation="when_required",
    )
