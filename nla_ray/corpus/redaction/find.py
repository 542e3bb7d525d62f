"""What is to be hidden in a text: matches of patterns, and what a function of the user's finds."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from nla_ray.config.reading.redaction import Redact
from nla_ray.corpus.redaction.hide import Span, hide, merged
from nla_ray.errors import ConfigError

_PRIVATE = range(0xE000, 0xF900)


class RedactionError(Exception):
    """A text in which it could not be found out what to hide; the message holds nothing of it."""


class Finder:
    """Finds what to hide. Raises ConfigError for a function that is not there or not the planned one."""

    def __init__(self, config: Redact) -> None:
        self._config = config
        self._function = None if config.function is None else _load(config)

    def spans(self, text: str) -> list[Span]:
        """Start and end of everything that is to be hidden, in order. Raises RedactionError."""
        try:
            found = [span for pattern in self._config.patterns for span in _matches(pattern, text)]
        except (pa.ArrowException, ValueError) as error:
            raise RedactionError(f"redact.patterns: {type(error).__name__}") from None
        return merged([*found, *self._of_function(text)])

    def hidden(self, text: str) -> str:
        """The text without what is to be hidden. Raises RedactionError."""
        return hide(text, self.spans(text), self._config.replacement)[0]

    def _of_function(self, text: str) -> list[Span]:
        if self._function is None:
            return []
        try:
            found = [(int(start), int(end)) for start, end in self._function(text)]
        except Exception as error:  # noqa: BLE001 (any fault of the user's function is the row's)
            raise RedactionError(
                f"redact.function: {self._config.function} raised {type(error).__name__}"
            ) from None
        if any(not 0 <= start <= end <= len(text) for start, end in found):
            raise RedactionError(f"redact.function: {self._config.function} names a place outside the text")
        return found


def settled(config: Redact | None) -> Redact | None:
    """The same with the digest of the function's source, which every worker then holds its own against.

    Raises ConfigError where the function is not there, or has not the digest that is configured.
    """
    if config is None or config.function is None:
        return config
    _load(config)
    return config.model_copy(update={"function_sha256": _digest(config.function)})


def _load(config: Redact) -> Callable[[str], Iterable[tuple[int, int]]]:
    name = config.function or ""
    found = _digest(name)
    if config.function_sha256 not in (None, found):
        raise ConfigError(
            f"redact.function: {name} is another one here than where it was planned (sha256 {found[:16]}, "
            f"planned {str(config.function_sha256)[:16]}); install the same code everywhere"
        )
    module, _, attribute = name.partition(":")
    function: Callable[[str], Iterable[tuple[int, int]]] = getattr(importlib.import_module(module), attribute)
    return function


def _digest(name: str) -> str:
    """Hex sha256 of the source of a function's module."""
    module, _, attribute = name.partition(":")
    try:
        found = importlib.import_module(module)
        if not callable(getattr(found, attribute)) or found.__file__ is None:
            raise ImportError(f"{attribute} is no function of a Python file")
        return hashlib.sha256(Path(found.__file__).read_bytes()).hexdigest()
    except Exception as error:  # noqa: BLE001 (a module of the user's may raise anything)
        raise ConfigError(
            f"redact.function: {name} cannot be used: {type(error).__name__}: {error}; name module:function "
            "of a module that can be imported here and on every worker"
        ) from None


def _matches(pattern: str, text: str) -> list[Span]:
    """Where a pattern matches: RE2 replaces every match by itself between two marks that no text holds."""
    opening, closing = islice((char for char in map(chr, _PRIVATE) if char not in text), 2)
    marked = pc.replace_substring_regex(
        pa.array([text], pa.large_string()), pattern=pattern, replacement=f"{opening}\\0{closing}"
    )[0].as_py()
    before, *rest = marked.split(opening)
    at, found = len(before), list[Span]()
    for one in rest:
        match, _, after = one.partition(closing)
        found.append((at, at + len(match)))
        at += len(match) + len(after)
    return found
