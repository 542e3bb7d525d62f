"""Messages with role and content: OpenAI's, and with blocks of their own Anthropic's and Inspect's."""

from __future__ import annotations

from collections.abc import Sequence

from nla_ray.corpus.chats.calls import only_call, read_call
from nla_ray.corpus.chats.draft import Draft
from nla_ray.corpus.chats.model import Call, Message
from nla_ray.corpus.chats.parts import read_content
from nla_ray.corpus.chats.shapes import anthropic, inspect
from nla_ray.corpus.chats.shapes.thinking import read_thinking
from nla_ray.corpus.chats.values import Fields, Place, is_nothing, list_of
from nla_ray.corpus.chats.words import MESSAGE_METADATA, role_of

_BLOCKS = {**anthropic.BLOCKS, **inspect.BLOCKS}
_MESSAGE = frozenset({"message"})


def read_messages(recorded: Sequence[Fields]) -> list[Message]:
    """The messages in order; a tool's result inside another message is one of its own."""
    return [message for fields in recorded for message in _read(fields)]


def _read(fields: Fields) -> list[Message]:
    name = fields.name("role")
    role = role_of(name)
    draft = _draft(fields, role)
    content, place = fields.take("content"), fields.place.at("content")
    if content is not None:
        read_content(content, place, draft, _BLOCKS)
    _read_instead(fields, draft, role)
    read_thinking(fields, draft)
    _read_calls(fields, draft)
    fields.close(MESSAGE_METADATA)
    if draft.is_blank:
        raise place.error(
            "holds nothing, and no thinking or call is beside it; only an empty text may stand alone"
        )
    return draft.messages()


def _draft(fields: Fields, role: str) -> Draft:
    """Only a tool's result says which call it answers; Inspect names that also in what a user says."""
    if fields.take("type") not in (None, "message"):
        raise fields.place.at("type").error("only 'message' may stand beside a role")
    if role != "tool":
        return Draft(role, name=fields.text("name"))
    names = fields.text("name"), fields.text("function")
    return Draft(role, call_id=fields.text("tool_call_id"), name=names[0] or names[1])


def _read_instead(fields: Fields, draft: Draft, role: str) -> None:
    """What stands beside a content in place of it: a refusal, speech, the error of a tool."""
    _fill(draft, fields.text("refusal"), fields.place.at("refusal"))
    if role == "tool":
        _fill(draft, inspect.error_of(fields), fields.place.at("error"))
    if not is_nothing(fields.take("audio")):
        draft.show("audio", fields.place.at("audio"))


def _fill(draft: Draft, text: str | None, place: Place) -> None:
    if not text or text == draft.text:
        return
    if draft.text:
        raise place.error(
            "differs from content; name the one that the target did not see in corpus.chat.ignore"
        )
    draft.say(text, place)


def _read_calls(fields: Fields, draft: Draft) -> None:
    """Calls beside the content; some recorders have them in it as well."""
    calls, place = _calls(fields), fields.place.at("tool_calls")
    if calls and draft.calls:
        if calls != draft.calls:
            raise place.error("differ from the calls in content")
        return
    for call in calls:
        draft.call(call, place)


def _calls(fields: Fields) -> list[Call]:
    value, place = fields.take("tool_calls"), fields.place.at("tool_calls")
    recorded = [] if is_nothing(value) else list_of(value, place, "calls")
    calls = [read_call(one, place.at(number)) for number, one in enumerate(recorded)]
    single, place = fields.take("function_call"), fields.place.at("function_call")
    if is_nothing(single):
        return calls
    if calls:
        raise place.error("stands beside tool_calls; a message has one of them")
    return [only_call(single, place)]
