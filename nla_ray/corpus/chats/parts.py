"""The content of a message, in every shape: a text, or a list of parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from nla_ray.corpus.chats.draft import Draft
from nla_ray.corpus.chats.values import Fields, Place, kind, list_of, text_of
from nla_ray.corpus.chats.words import PART_METADATA

Block = Callable[[Fields, Draft], None]
"""Takes what it understands of a part and adds it to the message."""

_TEXTS = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}
_LOST = {
    **dict.fromkeys(("image", "image_url", "input_image"), "image"),
    **dict.fromkeys(("audio", "audio_url", "input_audio", "output_audio"), "audio"),
    **dict.fromkeys(("video", "video_url", "input_video"), "video"),
    **dict.fromkeys(("file", "input_file", "document"), "file"),
}
_NO_BLOCKS: Mapping[str, Block] = MappingProxyType({})


def read_content(
    content: object, place: Place, draft: Draft, blocks: Mapping[str, Block] = _NO_BLOCKS
) -> None:
    """Add a content to a message; `blocks` are the parts that may stand here beside text and images."""
    if isinstance(content, str):
        draft.say(text_of(content, place), place)
        return
    if not isinstance(content, list):
        raise place.error(f"found {kind(content)} where text or a list of parts belongs")
    for number, part in enumerate(content):
        _read_part(Fields(part, place.at(number), "a part with its type"), draft, blocks)


def _read_part(fields: Fields, draft: Draft, blocks: Mapping[str, Block]) -> None:
    name = fields.needed_text("type")
    if name in _LOST:
        draft.show(_LOST[name], fields.place)
        return
    if name in _TEXTS:
        draft.say(fields.needed_text(_TEXTS[name]), fields.place)
    elif name in blocks:
        blocks[name](fields, draft)
    else:
        known = ", ".join(sorted({*_TEXTS, *_LOST, *blocks}))
        raise fields.place.at("type").error(f"found {name!r:.40}; understood are {known}")
    fields.close(PART_METADATA)


def texts_of(value: object, place: Place) -> list[str]:
    """The texts of a list of parts that are nothing but text, whatever their type is called."""
    found = []
    for number, part in enumerate(list_of(value, place, "parts")):
        fields = Fields(part, place.at(number), "a part with text")
        fields.take("type")
        found.append(fields.needed_text("text"))
        fields.close(PART_METADATA)
    return found
