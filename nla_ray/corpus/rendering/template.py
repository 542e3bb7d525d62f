"""A target's chat template as a function of messages: its options, its clock, its refusals."""

from __future__ import annotations

import inspect
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from pydantic import JsonValue
from transformers import PreTrainedTokenizerBase

from nla_ray.corpus.rendering.model import RenderError

# Defined inside the template: transformers turns a function that is given as an option into its name.
_CLOCK = r"""{%- macro strftime_now(format) -%}
{%- for part in format.replace('%%', '\0').split('%') -%}
{%- set cut = 0 if loop.first else 2 if part[:1] in '-_0^#' else 1 -%}
{{- '' if loop.first else nla_clock.get(part[:cut], '%' + part[:cut]) }}{{ part[cut:].replace('\0', '%') -}}
{%- endfor -%}
{%- endmacro %}
"""
_OWN = {"messages", "strftime_now", "nla_clock"}
_TAKEN = _OWN | {*inspect.signature(PreTrainedTokenizerBase.apply_chat_template).parameters}


@dataclass(frozen=True)
class Template:
    """The chat template of a tokenizer with all that determines its text but the messages and tools."""

    tokenizer: PreTrainedTokenizerBase
    text: str
    options: Mapping[str, JsonValue]
    now: datetime | None
    to_answer: bool

    def __call__(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> str:
        """The text of messages; raises RenderError with the template's own words where it refuses them."""
        text, given = self.text, dict[str, Any](self.options)
        if self.now is not None and has_clock(text):
            text, given = _CLOCK + text, {**given, "nla_clock": _directives(self.now)}
        try:
            written = self.tokenizer.apply_chat_template(
                [dict(message) for message in messages],
                tools=[dict(tool) for tool in tools] or None,
                chat_template=text,
                add_generation_prompt=self.to_answer,
                tokenize=False,
                **given,
            )
        # A template is a program from the checkpoint: it can fail in any way.
        except Exception as error:
            raise RenderError(
                f"the chat template refuses it: {type(error).__name__}: {str(error)[:200]}"
            ) from error
        return str(written)


def template_of(
    tokenizer: PreTrainedTokenizerBase,
    *,
    tools: bool = False,
    options: Mapping[str, JsonValue],
    now: datetime | None,
    to_answer: bool = False,
) -> Template:
    """The template that the tokenizer has for chats, with or without tools.

    Raises RenderError where there is none, where it asks for the date and `now` is None, and for an option
    that it does not know.
    """
    try:
        text = tokenizer.get_chat_template(tools=[{}] if tools else None)
    except ValueError as error:
        raise RenderError(f"the tokenizer has no chat template: {str(error)[:200]}") from error
    if has_clock(text) and now is None:
        raise RenderError("the chat template asks for the date (strftime_now); give it one fixed date")
    for name in options:
        if name in _TAKEN:
            raise RenderError(f"{name!r} is no option of a chat template; it is given by other means")
        if not re.search(rf"\b{re.escape(name)}\b", text):
            raise RenderError(
                f"the chat template knows no option {name!r}; it would ignore it without a word"
            )
    return Template(tokenizer, text, options, now, to_answer)


def has_clock(text: str) -> bool:
    """Whether a template's text asks for the date, so that another day gives another text."""
    return "strftime_now" in text


@lru_cache(maxsize=8)
def _directives(now: datetime) -> dict[str, str]:
    """What `strftime` writes for each directive, with and without a flag of the C library."""
    names = [flag + letter for flag in ("", *"-_0^#") for letter in string.ascii_letters]
    return {name: now.strftime(f"%{name}") for name in names}
