"""From a configuration to its provider."""

from __future__ import annotations

from importlib.resources import files

from nla_ray.config.training_set import Asking, Column, Demo, TrainingSetConfig
from nla_ray.errors import ConfigError
from nla_ray.providers.column import ColumnProvider
from nla_ray.providers.demo import DemoProvider
from nla_ray.providers.provider import Provider


def provider_of(config: TrainingSetConfig) -> Provider:
    """The provider of a configuration. Raises ConfigError where its key or its instruction is not there."""
    match config.provider:
        case Demo():
            return DemoProvider(config.seed)
        case Column() as column:
            return ColumnProvider(column, config.templates.ar)
    raise NotImplementedError


def instruction_of(config: Asking) -> str:
    """What a language model is told. Raises ConfigError where the file cannot be read."""
    if config.instruction is None:
        return files("nla_ray.providers").joinpath("instruction.txt").read_text(encoding="utf-8")
    try:
        return config.instruction.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"provider.instruction: cannot read {config.instruction}: {error}") from None
