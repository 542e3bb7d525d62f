"""Reads messages of a test."""

from __future__ import annotations

from typing import Any

import pytest

from nla_ray.corpus.chats.model import ChatError, Message
from nla_ray.corpus.chats.read import read_chat

Recorded = dict[str, Any]


def messages(*recorded: Recorded) -> tuple[Message, ...]:
    return read_chat(list(recorded)).messages


def shape(*recorded: Recorded) -> str:
    return read_chat(list(recorded)).shape


def problem(*recorded: Recorded) -> str:
    with pytest.raises(ChatError) as caught:
        read_chat(list(recorded))
    return str(caught.value)
