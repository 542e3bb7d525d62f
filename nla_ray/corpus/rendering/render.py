"""A chat rendered for its target: arguments in the form that its template takes, and what of it is there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from pydantic import JsonValue
from transformers import PreTrainedTokenizerBase

from nla_ray.corpus.chats.model import Chat
from nla_ray.corpus.rendering.fit import Found
from nla_ray.corpus.rendering.locate import locate
from nla_ray.corpus.rendering.model import Form, Rendered, RenderError
from nla_ray.corpus.rendering.pieces import Put, argument_forms, as_it_is, messages_with
from nla_ray.corpus.rendering.regions import regions_of
from nla_ray.corpus.rendering.sentinels import Nonce, Sentinels
from nla_ray.corpus.rendering.template import Template, template_of


def render(
    tokenizer: PreTrainedTokenizerBase,
    chat: Chat,
    *,
    options: Mapping[str, JsonValue] | None = None,
    now: datetime | None,
    to_answer: bool = False,
) -> Rendered:
    """The text that the target reads of a chat, with the region of each piece and what is not in it.

    `options` are the template's own; `now` is the date that it is told; `to_answer` ends the text with what
    the template puts before an answer. Raises RenderError where the template refuses the chat, and for a
    piece that is neither found nor missing for sure.
    """
    template = template_of(
        tokenizer, tools=bool(chat.tools), options=options or {}, now=now, to_answer=to_answer
    )
    form, text = _in_best_form(template, chat)
    found = locate(text, template.text, partial(_draw, template, chat, form))
    losses: dict[str, str] = {}
    for kind, reason in _losses(template, chat, form, found, text):
        losses.setdefault(kind, reason)
    return Rendered(text, regions_of(text, found.placed), tuple(losses), tuple(losses.values()), form)


def _draw(template: Template, chat: Chat, form: Form | None, put: Put) -> str:
    return template(messages_with(chat, form, put), chat.tools)


def _in_best_form(template: Template, chat: Chat) -> tuple[Form | None, str]:
    """The text with arguments in the first form that the template writes as JSON or in its own way.

    Where it does so with none, the first that it takes at all.
    """
    refusal, taken = None, None
    for form in argument_forms(chat):
        try:
            text = _draw(template, chat, form, as_it_is)
        except RenderError as error:
            refusal = refusal or error
            continue
        if form is None or not _is_miswritten(template, chat, form, text):
            return form, text
        taken = taken or (form, text)
    if taken is None:
        raise refusal or RenderError("its arguments can be given in no form")
    return taken


def _is_miswritten(template: Template, chat: Chat, form: Form, text: str) -> bool:
    """Whether the template quotes arguments that are JSON already, or writes Python's form of an object."""
    sentinels = Sentinels(Nonce(text, template.text), template.text)
    try:
        drawn = _draw(template, chat, form, sentinels)
    except RenderError:
        return False
    whole = {token for token, piece in sentinels.pieces.items() if piece.field in ("arguments", "values")}
    around = r'"({})"' if form == "text" else r"\{{'({})': "
    found = re.finditer(around.format(sentinels.pattern.pattern[1:-1]), drawn)
    return any(match[1] in whole for match in found)


def _losses(
    template: Template, chat: Chat, form: Form | None, found: Found, text: str
) -> Iterator[tuple[str, str]]:
    """Kinds of what is not in the text, each with its place in words; whitespace comes last."""
    blank = [piece for piece in found.missing if piece.call is None and not piece.value.strip()]
    missing = [(piece.message, piece.kind, piece.words) for piece in found.missing if piece not in blank]
    for number, message in enumerate(chat.messages):
        missing += [
            (number, lost, f"message {number} ({message.role:.40}): its {lost}") for lost in message.lost
        ]
    yield from ((kind, words) for _, kind, words in sorted(missing, key=lambda one: one[0]))
    if chat.tools and not _shows_tools(template, chat, form, text):
        yield "tools", "the tools that were offered"
    cut = [*(one.piece for one in found.placed if one.cut), *found.unproven, *blank]
    for piece in sorted(cut, key=lambda piece: piece.message):
        yield "whitespace", f"{piece.words}: whitespace at its ends"


def _shows_tools(template: Template, chat: Chat, form: Form | None, text: str) -> bool:
    """Whether each tool's name and description and the names of its parameters are in what is written."""
    word = Nonce(text, template.text).word
    tokens: list[str] = []

    def token() -> str:
        tokens.append(f"{word}{len(tokens):08d}z")
        return tokens[-1]

    tools = [{**tool, "function": _marked(tool.get("function") or {}, token)} for tool in chat.tools]
    drawn = template(messages_with(chat, form, as_it_is), tools)
    return all(token in drawn for token in tokens)


def _marked(function: Mapping[str, Any], token: Callable[[], str]) -> dict[str, Any]:
    """A tool's function with a token for each text that must be shown."""
    marked: dict[str, Any] = {key: token() for key in ("name", "description") if function.get(key)}
    schema = function.get("parameters")
    if isinstance(schema, Mapping) and isinstance(schema.get("properties"), Mapping):
        names = {name: token() for name in schema["properties"]}
        marked["parameters"] = {
            **schema,
            "properties": {names[name]: one for name, one in schema["properties"].items()},
        }
        if isinstance(required := schema.get("required"), list):
            marked["parameters"]["required"] = [names.get(str(name), name) for name in required]
    return {**function, **marked}
