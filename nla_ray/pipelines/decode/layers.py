"""Several layers of one target, each by a pair of its own: as many runs, in one pass over the target."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from nla_ray.config.decode import DecodeConfig, DecodeFile, Models
from nla_ray.errors import ConfigError, NlaError
from nla_ray.nla.proof.prove import RIVALS
from nla_ray.nla.sidecar.read import read_sidecar, said_injection
from nla_ray.pipelines.decode.pair.settled import settled_pair
from nla_ray.pipelines.decode.planning import Decode, find_checkpoints, preflight
from nla_ray.pipelines.decode.run import (
    Decoded,
    Making,
    begun,
    decode,
    ended,
    plan,
    reachable,
    require_room,
    runner_of,
    stages_of,
)
from nla_ray.pipelines.decode.telling.meter import Report, labels_of
from nla_ray.runtime.progress import Labels, Progress
from nla_ray.runtime.runner import Runner
from nla_ray.runtime.sharing.shared import Pass, Shared, StoppedError
from nla_ray.runtime.workers import Workers
from nla_ray.stages.stage import Stage
from nla_ray.store.places.objects import Store


def by_layer(asked: DecodeFile) -> dict[int, DecodeConfig]:
    """The decodes that are asked for by their layers; each is checked without corpus and weights.

    Raises NlaError, for two pairs of one layer too.
    """
    found: dict[int, DecodeConfig] = {}
    for number, (pair, config) in enumerate(zip(asked.models.layers, asked.each(), strict=True)):
        layer = _layer_of(config)
        if pair.layer not in (None, layer):
            raise ConfigError(
                f"models.layers.{number}: layer {pair.layer} is said, and the sidecar of {pair.av} has "
                f"{layer}; leave it out or name another verbalizer"
            )
        if layer in found:
            raise ConfigError(
                f"models.layers: {found[layer].models.av} and {pair.av} both read layer {layer}, and a layer "
                "has one pair; decode with the other one by itself (`--add` keeps both in one place)"
            )
        found[layer] = config
    return found


def _layer_of(config: DecodeConfig) -> int:
    """K of a pair that fits its target. Without an injection that is told, the proof looks at the rest."""
    checkpoints = find_checkpoints(config)
    models = settled_pair(config.models, checkpoints.av, checkpoints.ar)
    told = models.injection or said_injection(checkpoints.av, models.pair)
    if told is not None:
        preflight(config)
    return read_sidecar(checkpoints.av, role="av", injection=told or RIVALS[0], facts=models.pair).layer


def loaded_for(models: Models, layer: int | None) -> tuple[object, ...]:
    """What is loaded for a run, first its target, of an adapter the base."""
    target = models.target
    while target is not None and target.base is not None:
        target = target.base
    return str(target), str(models.av), str(models.ar), models.injection, str(models.pair), layer


def plan_asked(asked: DecodeFile, report: Report = lambda _: None) -> list[tuple[Decode, Store]]:
    """What each decode would do, see `plan`."""
    configs = by_layer(asked).values() if asked.models.layers else asked.each()
    return [plan(config, report=report) for config in configs]


def decode_asked(asked: DecodeFile, *, add: bool = False, report: Report = lambda _: None) -> list[Decoded]:
    """What `decode` or `decode_layers` made."""
    if asked.models.layers:
        return decode_layers(by_layer(asked), add=add, report=report)
    (config,) = asked.each()
    return [decode(config, add=add, report=report)]


def decode_layers(
    configs: Mapping[int, DecodeConfig],
    *,
    add: bool = False,
    report: Report = lambda _: None,
    stages: Callable[[Decode, Store], Sequence[Stage]] = stages_of,
) -> list[Decoded]:
    """Decode each layer into a run of its own, as `decode` would; the target reads a document once for all.

    Every pair is checked and proven before anything is made. Raises NlaError; what fails in some layers comes
    when the others are done, as `layer K: ...` for each.
    """
    first = next(iter(configs.values()))
    store = reachable(first)
    with Workers(first.runner) as workers:
        made, ready = dict[int, Decoded](), dict[int, Decode]()
        for layer, config in configs.items():
            # Without `add` the first of them must have its place; the others are beside it.
            beside = add or bool(made or ready)
            one = begun(store, config, workers, add=beside, report=partial(_named, report, layer))
            if isinstance(one, Decoded):
                made[layer] = one
            else:
                ready[layer] = one
        require_room(store, ready.values())
        made |= _Together(store, ready, stages, report).run()
    return [made[layer] for layer in configs]


def _named(report: Report, layer: int, now: Progress) -> None:
    report(replace(now, doing=f"layer {layer}: {now.doing}"))


@dataclass
class _Together:
    """Runs that are begun, made by one set of workers."""

    store: Store
    ready: Mapping[int, Decode]
    stages: Callable[[Decode, Store], Sequence[Stage]]
    report: Report
    found: dict[int, Decoded] = field(default_factory=dict)
    errors: dict[int, Exception] = field(default_factory=dict)
    _now: dict[int, Progress] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> dict[int, Decoded]:
        """Make all of them. Raises what failed, with every layer's reason, when the others are done."""
        self.shared = Shared(self._open, together=True)
        self.shared.run([partial(self._flow, layer) for layer in self.ready])
        if self.errors:
            raise told_together(self.errors)
        return self.found

    def _open(self, stages: Sequence[Stage], labels: Mapping[str, Labels]) -> Runner:
        return runner_of(next(iter(self.ready.values())).config, stages, labels)

    def _flow(self, layer: int) -> None:
        by = Making(self.stages, self._member)
        try:
            tell = partial(self._tell, layer)
            self.found[layer] = ended(self.store, self.ready[layer], by, add=True, report=tell)
        except StoppedError:
            return
        except Exception as error:  # noqa: BLE001 (raised when the other layers are done)
            self.errors[layer] = error

    def _member(self, ready: Decode, stages: Sequence[Stage]) -> Runner:
        models, layer = ready.config.models, ready.identity.layer
        over = Pass(str(models.target), layer)
        labels = labels_of(ready)
        return self.shared.member(labels.run, stages, labels, loaded_for(models, layer), over)

    def _tell(self, layer: int, now: Progress) -> None:
        with self._lock:
            self._now[layer] = now
            self.report(summed(self._now, now))


def told_together(errors: Mapping[int, Exception]) -> Exception:
    """The first error of several layers, which tells the reasons of all of them, each with its layer.

    A fault of nla_ray itself stays as it is.
    """
    for error in errors.values():
        if not isinstance(error, NlaError):
            return error
    first = next(iter(errors.values()))
    first.args = ("; ".join(f"layer {layer}: {error}" for layer, error in errors.items()),)
    return first


def summed(layers: Mapping[int, Progress], last: Progress) -> Progress:
    """Where several runs over the same documents are, taken together; `last` is what was told last."""
    doing: dict[str, list[int]] = {}
    for layer, one in sorted(layers.items()):
        doing.setdefault(one.doing, []).append(layer)
    every = layers.values()
    return Progress(
        "; ".join(f"layer {', '.join(map(str, by))}: {what}" for what, by in doing.items()),
        documents=last.documents,
        units=sum(one.units for one in every),
        of_units=sum(one.of_units for one in every),
        before=sum(one.before for one in every),
        vectors=sum(one.vectors for one in every),
        controls=last.controls,
        tokens=sum(one.tokens for one in every),
        seconds=max(one.seconds for one in every),
    )
