"""A chat as its target reads it: the text, whose each character is, and what the template left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

Form = Literal["object", "text"]
"""How the arguments of calls are given to a template."""


class RenderError(ValueError):
    """A chat that its target's template refuses, or that cannot be found again in what the template wrote."""


class Owner(NamedTuple):
    """Whose a character or token is: a message by its number, in it a call where it is of one.

    `label` is the message's role, or `thinking`, `tool_call`, `tool_result`.
    """

    label: str
    message: int
    call: int | None = None


@dataclass(frozen=True)
class Region:
    """Characters `start` to `end` of the text and whose they are; what lies between is the template's."""

    start: int
    end: int
    label: str
    message: int
    call: int | None = None

    @property
    def owner(self) -> Owner:
        """Whose it is."""
        return Owner(self.label, self.message, self.call)


@dataclass(frozen=True)
class Rendered:
    """The text with its regions, ascending and disjoint.

    `dropped` names the kinds of what the chat holds and the text does not: `message`, `thinking`,
    `tool_call`, `tool_result`, `tools`, what messages had lost before (`image`), and last `whitespace`, where
    only the ends of a piece are missing. `reasons` says for each kind where it is first. `arguments` is None
    without calls.
    """

    text: str
    regions: tuple[Region, ...]
    dropped: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    arguments: Form | None = None

    @property
    def first_dropped(self) -> str | None:
        """What is missing, in words, for the reason of a failed row."""
        return self.reasons[0] if self.reasons else None


def owners_of(spans: Sequence[tuple[int, int]], rendered: Rendered) -> tuple[Owner | None, ...]:
    """Whose each token is, None for the template's: that of its last character that is no whitespace.

    A token of only whitespace is its last character's, one without characters the template's.
    """
    owners: list[Owner | None] = [None] * len(rendered.text)
    for region in rendered.regions:
        owners[region.start : region.end] = [region.owner] * (region.end - region.start)
    return tuple(
        owners[start + (len(rendered.text[start:end].rstrip()) or end - start) - 1] if start < end else None
        for start, end in spans
    )
