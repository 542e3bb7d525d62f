"""The configuration of a command: its file, on this machine or on S3, under the command line's overrides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from nla_ray.errors import ConfigError

if TYPE_CHECKING:
    from nla_ray.config.base import Config

C = TypeVar("C", bound="Config")


def settings_of(model: type[C], config: str, overrides: Sequence[str] | None = None) -> C:
    """What `config` (a path or `s3://bucket/key.yaml`) says, with the overrides.

    Raises ConfigError; InputError where S3 does not give it.
    """
    from nla_ray.config.loading.load import load
    from nla_ray.store.places.files import read_bytes

    return load(model, config, overrides or (), remote=read_bytes)


def local_file(option: str, path: str) -> Path:
    """The path that an option names. Raises ConfigError for a URL: it would become a folder of that name."""
    if "://" in path:
        raise ConfigError(f"{option} {path}: is written on this machine only; name a path, and copy it there")
    return Path(path)
