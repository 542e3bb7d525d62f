"""A week of a sweep as its driver holds it: the place, the configuration, the cells."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from nla_ray.config.decode import DecodeConfig
from nla_ray.config.sweep import SweepConfig, SweepCorpus, Target
from nla_ray.errors import ConfigError, UnreachableError
from nla_ray.fleet.cells import Cell
from nla_ray.fleet.layout import TABLES, week_key
from nla_ray.fleet.objects import put_object
from nla_ray.fleet.results import Week, get_week, settings_of_week
from nla_ray.models import directory_of
from nla_ray.nla.sidecar.read import layer_said
from nla_ray.store.places.address import open_store
from nla_ray.store.places.objects import Store
from nla_ray.store.runs.plan import differing_keys, some_of
from nla_ray.text import masked_values


@dataclass(frozen=True)
class CellWork:
    """A cell with what is configured for it."""

    cell: Cell
    target: Target
    corpus: SweepCorpus
    decoding: DecodeConfig


@dataclass(frozen=True)
class Place:
    """A week of a sweep: `store` holds its state and, below `tables`, all rows."""

    config: SweepConfig
    week: str
    store: Store
    works: tuple[CellWork, ...]

    @property
    def tables(self) -> str:
        """Where the tables are."""
        return tables_of(self.store)

    def only(self, cells: Sequence[str]) -> Place:
        """The same week with some of its cells. Raises ConfigError for one that is not known."""
        named = {name: work for work in self.works for name in (work.cell.id, "/".join(work.cell.pair))}
        for cell in cells:
            if cell not in named:
                known = some_of([work.cell.id for work in self.works], 10)
                raise ConfigError(f"--cell: {self.config.name} has no cell {cell}; there are {known}")
        chosen = {named[cell].cell.id for cell in cells}
        works = tuple(work for work in self.works if work.cell.id in chosen or not cells)
        return Place(self.config, self.week, self.store, works)


def open_place(config: SweepConfig, week: str) -> Place:
    """The cells of a week; nothing is written.

    Raises ConfigError where a layer is not the sidecar's, and where the configuration holds a secret.
    """
    require_no_secret(config)
    store = open_store(config.root, overwrites=config.overwrites)
    store.entries(week_key(config.name, week))
    layers = {target.name: layer_of(config, target) for target in config.targets}
    works = tuple(
        CellWork(
            Cell(
                sweep=config.name,
                week=week,
                model=target.name,
                base=target.base,
                corpus=corpus.name,
                layer=layers[target.name],
            ),
            target,
            corpus,
            config.decoding(target, corpus, week, tables_of(store)),
        )
        for target, corpus in config.pairs()
    )
    return Place(config, week, store, works)


def require_cells(config: SweepConfig, cells: Sequence[str]) -> None:
    """Raise ConfigError for a cell that there cannot be, before any model is looked at for its layer."""
    pairs = [(target.name, corpus.name) for target, corpus in config.pairs()]
    forms = [rf"{re.escape(model)}(/|\.(L\d+\.)?){re.escape(corpus)}" for model, corpus in pairs]
    for cell in cells:
        if not any(re.fullmatch(form, cell) for form in forms):
            known = some_of(["/".join(pair) for pair in pairs], 10)
            raise ConfigError(f"--cell: {config.name} has no cell {cell}; there are {known}")


def require_no_secret(config: SweepConfig) -> None:
    """Raise ConfigError where a value opens something: a week is begun with it, in everybody's sight."""
    values = config.model_dump(mode="json")
    keys = [key for key, value in values.items() if masked_values(value) != value]
    if keys:
        raise ConfigError(
            f"{some_of(keys)}: holds a secret, which the sweep would store; take it out: credentials come "
            "from the environment alone"
        )


def tables_of(store: Store) -> str:
    """Where the tables of a root are."""
    return f"{store.url}/{TABLES}"


def layer_of(config: SweepConfig, target: Target) -> int | None:
    """K of a target, from the sidecar of its verbalizer; as configured where that is not there.

    Raises ConfigError where the two differ.
    """
    said, models = config.layer_of(target), config.models(target)
    try:
        directory = directory_of(models.av, weights=False)
        found = layer_said(directory, models.pair)
    except Exception:  # noqa: BLE001 (what is wrong with the model is told by its cells, one by one)
        return said
    if said not in (None, found):
        raise ConfigError(
            f"targets: {target.name}: layer {said} is said, and the sidecar of {models.av} has {found}; "
            "leave it out or name another verbalizer"
        )
    return found


def require_layer(config: SweepConfig, work: CellWork) -> None:
    """Raise UnreachableError where the layer of a cell became known after its week was opened.

    Its runs would lack the label, and be found in no cell.
    """
    if work.cell.layer is None and layer_of(config, work.target) is not None:
        raise UnreachableError(
            f"targets: {work.target.name}: its verbalizer could not be read when the week was opened, and it "
            "can be now; run the same command again"
        )


def begin_week(place: Place) -> Place:
    """Write what the week is begun with, or find that it was begun with the same.

    Raises ConfigError that names the keys in which the configuration differs.
    """
    config, week = place.config, place.week
    cells = tuple(work.cell for work in place.works)
    new = Week(sweep=config.name, week=week, config=config.model_dump(mode="json"), cells=cells)
    if put_object(place.store, week_key(config.name, week), new):
        return place
    require_same_week(place)
    return place


def require_same_week(place: Place) -> None:
    """Raise ConfigError where the week was begun with a configuration that has other results."""
    there = get_week(place.store, place.config.name, place.week)
    if there is None:
        return
    keys = differing_keys(settings_of_week(place.store, there).effective(), place.config.effective())
    if keys:
        raise ConfigError(
            f"{place.store.url}: sweep {place.config.name} began {place.week} with another configuration; it "
            f"differs in {some_of(keys)}: go on with that one, or give this one another name"
        )
