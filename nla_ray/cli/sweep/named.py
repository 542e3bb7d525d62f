"""Which week of which sweep is meant: by a configuration, or by the place where its state is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nla_ray.cli.settings import settings_of
from nla_ray.errors import ConfigError, NoFileError
from nla_ray.fleet.weeks import is_week, named_week

if TYPE_CHECKING:
    from nla_ray.config.sweep import SweepConfig
    from nla_ray.store.places.objects import Store


@dataclass(frozen=True)
class Named:
    """A sweep's state; `config` is None where the place was named, not a configuration."""

    store: Store
    sweep: str
    config: SweepConfig | None


def named_sweep(text: str, overrides: Sequence[str] = ()) -> Named:
    """The sweep of `CONFIG`, or of `ROOT#NAME`. Raises ConfigError for what is neither."""
    from nla_ray.store.places.address import open_store

    root, separator, name = text.rpartition("#")
    if separator and not Path(text).exists():
        if overrides:
            raise ConfigError(f"{text}: is a sweep as it was begun; {overrides[0]} goes with a configuration")
        return Named(open_store(root), name, None)
    from nla_ray.config.sweep import SweepConfig

    config = settings_of(SweepConfig, text, overrides)
    return Named(open_store(config.root), config.name, config)


def configured(text: str, week: str | None, overrides: Sequence[str] = ()) -> tuple[SweepConfig, str]:
    """The configuration and the week to work on; of `ROOT#NAME` the one that the week was begun with."""
    named = named_sweep(text, overrides)
    if named.config is not None:
        return named.config, named_week(week)
    chosen = known_week(named, week)
    return begun_config(named, chosen).model_copy(update={"root": text.rpartition("#")[0]}), chosen


def begun_config(named: Named, week: str) -> SweepConfig:
    """The configuration that is named, else the one that the week was begun with."""
    from nla_ray.fleet.results import begun_week, settings_of_week

    return named.config or settings_of_week(named.store, begun_week(named.store, named.sweep, week))


def known_week(named: Named, week: str | None) -> str:
    """The week to look at: as named, else the newest that was begun. Raises NoFileError without any."""
    from nla_ray.fleet.results import begun_week, begun_weeks, weeks_of

    if week is not None and not is_week(week):
        return named_week(week)
    if week is None and not (weeks := weeks_of(named.store, named.sweep)):
        began = begun_weeks(named.store, named.sweep)
        raise NoFileError(f"{named.store.url}: sweep {named.sweep} has no week that was begun; {began}")
    return begun_week(named.store, named.sweep, week or weeks[-1]).week
