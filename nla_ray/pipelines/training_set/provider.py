"""From a configuration to its provider."""

from __future__ import annotations

from nla_ray.config.training.training_set import Column, Demo, Endpoint, TrainingSetConfig
from nla_ray.demo.provider import DemoProvider
from nla_ray.providers.answers import Answers
from nla_ray.providers.asking import instruction_of
from nla_ray.providers.column import ColumnProvider
from nla_ray.providers.endpoint import EndpointProvider
from nla_ray.providers.local import LocalProvider
from nla_ray.providers.provider import Provider
from nla_ray.store.places.objects import Store


def provider_of(config: TrainingSetConfig, answers: Store, weights: str) -> Provider | None:
    """The provider of a configuration, if it has one; answers that cost something are kept at `answers`.

    `weights` is a digest of the files of a `local` provider's model; no other provider looks at it.
    Raises ConfigError where its key or its instruction is not there, InputError for a dead endpoint.
    """
    match config.provider:
        case None:
            return None
        case Demo() as demo:
            return DemoProvider(config.seed, brief=demo.brief)
        case Column() as column:
            return ColumnProvider(column, config.templates.ar)
        case Endpoint() as endpoint:
            return EndpointProvider(endpoint, instruction_of(endpoint), Answers(answers))
        case local:
            kept = Answers(answers)
            return LocalProvider(local, instruction_of(local), kept, config.engine, config.seed, weights)
