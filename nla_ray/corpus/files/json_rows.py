"""JSON of a corpus: lines, an array, values over many lines; so deep that every thread can read it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from nla_ray.corpus.files.encodings import UTF8_MARK

MAX_DEPTH = 100
"""Levels of nesting; more would be read or not by how much stack a thread has."""

_CHUNK = 1 << 20
_STRING = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_IN_STRINGS = re.compile(_STRING, re.DOTALL)
_TOKEN = re.compile(_STRING + rb'|[\[\]{}"]', re.DOTALL)
"""A whole string, a bracket, or the quote of a string that is not whole yet."""
_NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))
_BETWEEN = b" \t\r\n,"


class BrokenError(ValueError):
    """A file of JSON that ends too early or goes on after its end."""


def parse_json(text: bytes) -> Any:
    """The value of a JSON text. Raises ValueError for what is none, or is nested too deep."""
    if text.count(b"[") + text.count(b"{") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
    return json.loads(text)


def _depth(text: bytes) -> int:
    """The deepest nesting, found without recursion."""
    depth = deepest = 0
    for bracket in _IN_STRINGS.sub(b"", text).translate(None, _NO_BRACKET):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def is_lines(head: bytes) -> bool:
    """Whether a file that begins so has a value on each line, and not an array or values over many lines."""
    first, _, rest = head.removeprefix(UTF8_MARK).lstrip().partition(b"\n")
    rest = rest.lstrip()
    if first.startswith(b"["):
        second = rest.partition(b"\n")[0]
        return bool(rest) and (_is_whole(first) or (_is_whole(second) and not _begins_array(first)))
    return not (first.startswith(b"{") and rest[:1] in (b'"', b"}")) or _is_whole(first)


def _begins_array(line: bytes) -> bool:
    """Whether a line is the beginning of an array, between two of its values."""
    return _is_whole(line.rstrip(_BETWEEN) + b"]")


def _is_whole(line: bytes) -> bool:
    try:
        parse_json(line)
    except ValueError:
        return False
    return True


def json_values(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """The elements of an array, or the values that follow each other, each as its own text.

    `read` gives the next bytes, about so many. Raises BrokenError: the file ends inside of a value, or goes
    on behind its array.
    """
    start = read(_CHUNK).removeprefix(UTF8_MARK).lstrip()
    scanner = _Scanner(is_array=start.startswith(b"["))
    yield from scanner.feed(start[1:] if scanner.is_array else start)
    while chunk := read(max(_CHUNK, len(scanner.rest))):
        yield from scanner.feed(chunk)
    yield from scanner.end()


class _Scanner:
    """Finds the ends of values by brackets and strings alone; `rest` begins with what is not whole."""

    def __init__(self, *, is_array: bool) -> None:
        self.is_array, self.rest = is_array, b""
        self._scanned = self._depth = 0
        self._ended = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The values that are whole now."""
        text, start = self.rest + chunk, 0
        for token in _TOKEN.finditer(text, self._scanned):
            if token[0] == b'"':
                self._scanned = token.start()
                break
            if token[0] in b"[{":
                if self._depth == 0:
                    yield from self._stray(text[start : token.start()])
                    start = token.start()
                self._depth += 1
            elif token[0] in b"]}":
                yield from self._closed(text[start : token.start()], token[0])
                start = start if self._depth else token.end()
        else:
            self._scanned = len(text)
        self.rest, self._scanned = text[start:], self._scanned - start

    def _closed(self, text: bytes, bracket: bytes) -> Iterator[bytes]:
        if self._depth == 0:
            yield from self._stray(text)
            self._ended = True
            return
        self._depth -= 1
        if self._depth == 0:
            yield text + bracket

    def _stray(self, text: bytes) -> Iterator[bytes]:
        """What lies between two values and is more than a comma."""
        if self._ended:
            raise BrokenError("it goes on behind the end of its array")
        if stray := text.strip(_BETWEEN):
            yield stray

    def end(self) -> Iterator[bytes]:
        """What is left at the end of the file."""
        if self._depth or (self.is_array and not self._ended):
            raise BrokenError("it ends inside of a value")
        if left := self.rest.strip(_BETWEEN):
            yield from self._stray(left)
