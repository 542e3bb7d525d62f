"""Chats, and tokenizers with small templates in the manner of the known families, for tests of rendering."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from nla_ray import demo
from nla_ray.corpus.chats.model import Call, Chat, Message
from nla_ray.corpus.rendering.model import Rendered
from nla_ray.corpus.rendering.render import render

TARGET = Path(str(demo.__file__)).parent / "pair" / "target"
TEMPLATES = Path(__file__).parent / "templates"
FAMILIES = tuple(sorted(path.stem for path in TEMPLATES.glob("*.jinja")))
NOON = datetime(2031, 5, 4, 12)
TOOL = {
    "type": "function",
    "function": {"name": "tide", "description": "When the water is high.", "parameters": {"type": "object"}},
}


@cache
def tokenizer_with(template: str) -> PreTrainedTokenizerBase:
    """The demo target's tokenizer with a family's template, or with a template's own text."""
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(TARGET)
    tokenizer.chat_template = (
        (TEMPLATES / f"{template}.jinja").read_text() if template in FAMILIES else template
    )
    return tokenizer


def rendered(template: str, *messages: Message, tools: tuple[Any, ...] = (), **how: Any) -> Rendered:
    """Messages through a template at noon."""
    return render(tokenizer_with(template), Chat(messages, tools), **{"now": NOON, **how})


def pieces(found: Rendered) -> list[tuple[int, str, str]]:
    """Message, label and characters of each region."""
    return [(one.message, one.label, found.text[one.start : one.end]) for one in found.regions]


def user(content: str = "Is it open?") -> Message:
    """A user's message."""
    return Message("user", content)


def said(content: str = "", thinking: str = "", *calls: Call) -> Message:
    """An assistant's message."""
    return Message("assistant", content, thinking, calls)


def result(content: str, call_id: str | None = None) -> Message:
    """A tool's result."""
    return Message("tool", content, call_id=call_id, name="tide")
