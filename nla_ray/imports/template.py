"""Which imported results are about tokens of a chat template, by their text: files have no flag for it."""

from __future__ import annotations

from nla_ray.imports.entries import Entry
from nla_ray.text import SPECIAL_TOKEN

_OPENS = frozenset({"<|im_start|>", "<start_of_turn>", "<|start_header_id|>", "<|turn>"})
_ROLES = frozenset({"system", "user", "assistant", "model", "tool", "ipython", "developer"})


class Headers:
    """Looks at results in the order of a file; what stands in no row before or after raises no flag."""

    def __init__(self) -> None:
        self._at: tuple[str | None, int] = (None, -2)
        self._opened = self._named = False
        self._flag: str | None = None

    def flag(self, entry: Entry) -> str | None:
        """`special_token`, `template_token` (a header's role, white space beside special tokens) or None."""
        token, position = entry.columns["token"], -2 if entry.position is None else entry.position
        at = (entry.document, position)
        if at != self._at or position < 0:
            follows = at == (self._at[0], self._at[1] + 1)
            self._flag = None if token is None else self._next(token, follows)
            self._at = at
        return self._flag

    def _next(self, token: str, follows: bool) -> str | None:
        opened, named = self._opened and follows, self._named and follows
        special = SPECIAL_TOKEN.match(token) is not None
        self._opened = token.strip() in _OPENS
        self._named = (special and not self._opened) or (opened and token.strip() in _ROLES)
        if special:
            return "special_token"
        of_header = (opened and token.strip() in _ROLES) or (named and token.isspace())
        return "template_token" if of_header else None
