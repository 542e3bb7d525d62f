"""What of a document and of what is said about it may be stored."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from nla_ray.config.reading.redaction import Redact, StoreText
from nla_ray.corpus.reading.reader import UNKNOWN, Reading
from nla_ray.corpus.redaction.find import Finder, RedactionError
from nla_ray.corpus.redaction.hide import CUT, Span, gaps, hide, overlaps
from nla_ray.text import normalise

UNSAID: dict[str, object] = {
    **dict.fromkeys(("explanation", "explanation_norm", "raw_text", "cos", "mse_nrm", "fve_nrm")),
    "outcome": "failed",
    "finish_reason": "failed",
    "closed": False,
}
"""Of a row in whose texts it could not be found out what to hide."""


@dataclass(frozen=True)
class Kept:
    """What may be stored of a document: its text, where its tokens end in that, its metadata as JSON.

    `hidden` are spans of its whole text. `problem` says why nothing may: what to hide could not be found out.
    """

    text: str | None = None
    token_ends: tuple[int, ...] | None = None
    meta: str | None = None
    hidden: tuple[Span, ...] = ()
    problem: str | None = None


class Keeper:
    """Decides what is stored, as a configuration says; raises ConfigError as Finder does."""

    def __init__(self, store: StoreText, around: int, redact: Redact | None) -> None:
        self._store, self._around = store, around
        self._finder = None if redact is None else Finder(redact)
        self._replacement = "" if redact is None else redact.replacement

    @property
    def everything(self) -> bool:
        """Whether all is stored as it is."""
        return self._store == "full" and self._finder is None

    def document(self, reading: Reading, positions: Collection[int], meta: str | None) -> Kept:
        """A document: hidden where it must be, its text then cut to windows around the positions."""
        text, ends = reading.text, reading.token_ends
        if self.everything:
            return Kept(text, ends, meta)
        try:
            found = [] if self._finder is None or text is None else self._finder.spans(text)
            kept = Kept(meta=self.meta(meta), hidden=tuple(found))
        except RedactionError as error:
            return Kept(problem=str(error))
        if text is None or self._store == "none":
            return kept
        shown, moved = hide(text, found, self._replacement, ends or ())
        if self._store == "window":
            known = [at for at in positions if 0 <= at < len(moved)]
            if not known:
                return kept
            shown, moved = hide(shown, gaps(len(shown), moved, known, self._around), CUT, moved)
        return replace(kept, text=shown, token_ends=None if ends is None else moved)

    def stored(self, reading: Reading) -> Reading:
        """The reading with the text that is stored of it, as far as there is one."""
        kept = self.document(reading, reading.positions, None)
        return replace(reading, text=kept.text, token_ends=kept.token_ends)

    def token(self, reading: Reading, kept: Kept, position: int, token: str | None) -> str | None:
        """The text of a token; None where its id must not be stored either.

        Where it is not known which characters of a text a token is, none of a text with something hidden is.
        """
        if self._store == "none" or kept.problem is not None:
            return None
        if self._finder is None or token is None or position == UNKNOWN:
            return token
        ends = reading.token_ends
        if ends is None or position >= len(ends):
            return None if kept.hidden or self.said(token) != token else token
        start = ends[position - 1] if position else 0
        return None if overlaps(kept.hidden, start, ends[position]) else token

    def said(self, text: str | None) -> str | None:
        """A text of its own, such as an explanation. Raises RedactionError."""
        return text if text is None or self._finder is None else self._finder.hidden(text)

    def row(self, row: Mapping[str, object]) -> dict[str, object]:
        """A row of explanations without what is to be hidden in its texts; its metadata and token stay.

        It is `failed`, without a text, where that could not be found out.
        """
        try:
            texts = ((name, row[name]) for name in ("explanation", "raw_text", "reason"))
            said = {name: self.said(text) if isinstance(text, str) else None for name, text in texts}
            explanation = said["explanation"]
            norm = None if explanation is None else self.said(normalise(explanation))
        except RedactionError as error:
            return {**row, **UNSAID, "reason": str(error)}
        return {**row, **said, "explanation_norm": norm}

    def reason(self, text: str) -> str:
        """A text that says why, or why it cannot be said."""
        try:
            return self.said(text) or text
        except RedactionError as error:
            return str(error)

    def meta(self, meta: str | None) -> str | None:
        """Columns of the corpus; the target's answer among them is a part of what it read.

        Raises RedactionError.
        """
        if meta is None:
            return None
        values = json.loads(meta)
        if self._store != "full" and isinstance(values, dict):
            values.pop("response", None)
        return json.dumps(self._within(values))

    def _within(self, value: object) -> object:
        """Every text in a JSON value, keys included."""
        if isinstance(value, str):
            return self.said(value)
        if isinstance(value, list):
            return [self._within(one) for one in value]
        if isinstance(value, dict):
            return {str(self.said(name)): self._within(one) for name, one in value.items()}
        return value
