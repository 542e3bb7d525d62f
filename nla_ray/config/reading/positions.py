"""The configuration of positions: which tokens of a document are read, by keys or as one short string."""

from __future__ import annotations

import difflib
import re
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from nla_ray.config.base import Config, Name, OrText

LABELS = ("system", "developer", "user", "assistant", "thinking", "tool_call", "tool_result", "template")
"""The usual labels of tokens; a chat may have roles of its own beside them."""

FORMS = (
    "last, last:3, first:8, random:10, every:5, all; LABEL: before one of these for each span of a label, "
    "such as assistant:first:4; before:LABEL:1, after:LABEL:1"
)
_NUMBER = "(?::(?P<n>[0-9]{1,9}))?"
_WITHIN = re.compile(rf"(?:(?P<label>[^:\s]+):)?(?:all|(?P<choose>first|last|random|every){_NUMBER})")
_BESIDE = re.compile(rf"(?P<choose>before|after):(?P<label>(?![0-9]+(?::|$))[^:\s]+){_NUMBER}")
_WORDS = ("last", "first", "random", "every", "all", "before", "after", *LABELS)
_SPREAD = ("random", "every")
"""Choices over a whole document, which do not name the tokens that they read."""


class Positions(Config):
    """Which tokens of a document are read: first what may be chosen, then how many of that.

    Every token of a chat has a label: the role of its message (`system`, `developer`, `user`, `assistant` or
    another), or `thinking`, `tool_call`, `tool_result`, or `template` for what the chat template adds. A span
    is a run of tokens with one label in one message. Plain text has no labels and is one span.

    One string does for the usual choices:

    - `last`, `last:3`, `first:8`: the last token, the last three, the first eight of the document;
      `random:10`, `every:5`, `all`: ten that are drawn, every fifth, all of them.
    - `assistant:first:4`: the first four tokens of each span of the assistant; so too `assistant:last`,
      `thinking:all`, `tool_call:random:2`, `user:every:5`.
    - `before:tool_call:1`: the token before each tool call, whatever it is; `after:user:3`: the three after
      each of the user's texts.

    A string takes what it names: it sets `min_position` to 0 (early tokens carry the flag `early_position`).
    Only `random` and `every` over the whole document leave it as it is. The number is 1 where none is said,
    10 for these two.
    """

    choose: Literal["random", "first", "last", "every", "all", "before", "after", "column"] = "random"
    """`random` n (keyed by seed and document id), `first` n, `last` n, `every` n-th, `all`.

    `before`, `after`: the n tokens next to each span of `label`; `column`: those in `column`. These three are
    read as they are: what is below does not apply to them, but `limit` and `part` do.
    """
    n: Annotated[int, Field(ge=1)] = 10
    """How many, or for `every` the step."""
    column: Name | None = None
    """For `column`: the corpus column with a list of positions, counted from 0."""
    label: Name | None = None
    """For `before` and `after`: the label of the spans, for example `tool_call`."""
    per: Literal["document", "message", "span"] = "document"
    """How often the choice is made: `first` 4 per `span` are the first four tokens of every span.

    Of a message, what the template adds is left out, for it belongs to none.
    """
    min_position: Annotated[int, Field(ge=0)] = 10
    """The first position that may be chosen; the first tokens of a text decode badly.

    Earlier ones, if allowed, carry the flag `early_position`.
    """
    special: bool = False
    """Choose special tokens too; their rows carry the flag `special_token`."""
    template: bool = False
    """Choose also what the chat template puts around messages; these rows carry the flag `template_token`."""
    roles: tuple[Name, ...] = ()
    """Only tokens with these labels, for example `[assistant, thinking]`; plain text has none."""
    regex: Name | None = None
    """Only tokens that a match of this RE2 expression touches, searched in the text as the target sees it."""
    part: Literal["prompt", "response", "both"] = "both"
    """With `continuation`: read the document, the target's answer to it, or both."""
    limit: Annotated[int, Field(ge=1)] | None = None
    """At most so many positions per document; of more, these are drawn by seed and document id."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return keys_of(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _keys_belong_together(self) -> Positions:
        beside = self.choose in ("before", "after")
        if (self.choose == "column") != (self.column is not None):
            raise ValueError("choose: column and the name of the column belong together")
        if beside != (self.label is not None):
            raise ValueError("choose: before or after and the label of the spans belong together")
        if (beside or self.column) and (self.per != "document" or self.roles or self.regex):
            raise ValueError(f"choose: {self.choose} names its tokens; leave out per, roles and regex")
        return self


Choice = Annotated[Positions, OrText()]
"""Positions as a field, by keys or as one string."""


def keys_of(text: str) -> dict[str, Any]:
    """The keys that one string stands for. Raises ValueError, which names the forms and a near one."""
    found = _BESIDE.fullmatch(text) or _WITHIN.fullmatch(text)
    if found is None:
        near = _near(text)
        hint = f"did you mean {near!r}? " if near else ""
        raise ValueError(f"no choice of positions; {hint}allowed: {FORMS}")
    said = found.groupdict()
    choose = said["choose"] or "all"
    keys: dict[str, Any] = {"choose": choose}
    if said["n"] or choose not in (*_SPREAD, "all"):
        keys["n"] = int(said["n"] or 1)
    if choose in ("before", "after"):
        return keys | {"label": said["label"]}
    if said["label"]:
        keys |= {"per": "span", "roles": (said["label"],)}
    return keys if choose in _SPREAD and not said["label"] else keys | {"min_position": 0}


def _near(text: str) -> str | None:
    """A form that is like the text; None where there is none."""
    words = [next(iter(difflib.get_close_matches(word, _WORDS, n=1)), word) for word in text.split(":")]
    near = ":".join(words)
    return near if _BESIDE.fullmatch(near) or _WITHIN.fullmatch(near) else None
