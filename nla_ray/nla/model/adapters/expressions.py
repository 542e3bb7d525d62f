"""Regular expressions of an adapter's configuration: anybody's, so matched within a time."""

from __future__ import annotations

import time
from collections.abc import Iterable

import regex

_SECONDS = 20.0


class Expressions:
    """Matches names within so much processor time altogether; an expression can take for ever otherwise."""

    def __init__(self, seconds: float = _SECONDS) -> None:
        self._end = time.process_time() + seconds

    def matching(self, expression: str, names: Iterable[str]) -> set[str]:
        """The names that fit as a whole. Raises ValueError for no expression, and where the time is over."""
        try:
            compiled = regex.compile(expression)
            return {name for name in names if compiled.fullmatch(name, timeout=self._left())}
        except (regex.error, OverflowError, RecursionError) as error:
            raise ValueError(f"{expression[:80]!r} is no regular expression: {error}") from None
        except TimeoutError:
            raise ValueError(f"{expression[:80]!r} takes too long to match; name the modules") from None

    def _left(self) -> float:
        return max(self._end - time.process_time(), 1e-3)
