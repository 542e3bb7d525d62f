"""Answers of language models, kept as they come: one object each, under the hash of what was asked."""

from __future__ import annotations

from pydantic import Field, ValidationError

from nla_ray.config.base import Config
from nla_ray.errors import InputError
from nla_ray.store.places.objects import Store


class Kept(Config):
    """An answer as it came, what it cost, and the unit that it was asked for."""

    raw: str
    tokens: int = Field(ge=0)
    requests: int = Field(default=1, ge=1)
    unit: str


class Answers:
    """A place for answers. One that is there is never asked for again, by whichever training set."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def get(self, key: str) -> Kept | None:
        """An answer. Raises InputError for a file that is none."""
        try:
            return Kept.model_validate_json(self.store.get(_path(key)))
        except FileNotFoundError:
            return None
        except ValidationError:
            raise InputError(
                f"{self.store.url}/{_path(key)}: not a kept answer; remove it, and it is asked for again"
            ) from None

    def put(self, key: str, kept: Kept) -> None:
        """Keep an answer: it is durable on return. The first one under a key stays."""
        self.store.put_new(_path(key), kept.model_dump_json().encode())


def _path(key: str) -> str:
    return f"answers/{key[:2]}/{key}.json"
