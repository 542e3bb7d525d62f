"""The configuration of a language model that judges, behind any endpoint of the OpenAI kind."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from nla_ray.config.base import Place
from nla_ray.config.models.chat import ChatConfig


class JudgeConfig(ChatConfig):
    """Where the judge is, and what it may cost."""

    without_effect: ClassVar[frozenset[str]] = ChatConfig.without_effect | {"cache"}

    cache: Place
    """Folder or `s3://bucket/prefix` for answers: the same question about the same text is asked once."""
    max_requests: Annotated[int, Field(ge=0)] = 1000
    """At most so many requests in one audit, repeated ones included; what is then left is UNCLEAR."""
    max_tokens: Annotated[int, Field(ge=1)] = 200
    """Of one answer."""
