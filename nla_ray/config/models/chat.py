"""The configuration of a language model behind any endpoint of the OpenAI kind."""

from __future__ import annotations

from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, field_validator

from nla_ray.config.base import Config, EnvName, Spelled


class ChatConfig(Config):
    """Where the endpoint is, and how it is asked."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"key_env", "concurrency", "timeout_s", "attempts"})

    base_url: Annotated[
        str, Spelled(r"^https?://[^\s?#@]+$", "a URL, http:// or https://, without a user name, ? and #")
    ]
    """Of the endpoint; `/chat/completions` is added. Keys and passwords do not belong here."""
    model: Annotated[str, StringConstraints(min_length=1)]
    """Name of the model, as the endpoint knows it."""
    key_env: EnvName | None = None
    """Name of the environment variable that holds the key; without it none is sent."""
    concurrency: Annotated[int, Field(ge=1, le=64)] = 4
    """Requests under way at once."""
    timeout_s: Annotated[float, Field(gt=0)] = 60.0
    """Seconds to wait for one answer."""
    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    """Of one request, where the server is busy, does not answer, or answers without words."""

    @field_validator("base_url")
    @classmethod
    def _named(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            named = (parts.hostname or "").encode("idna") and parts.port != 0
        except ValueError:
            named = False
        if not named:
            raise ValueError("must be a URL with a host name, and with a port up to 65535 if with any")
        return url
