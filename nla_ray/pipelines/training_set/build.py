"""Build a training set: extract, split, explain, write; each step goes on where it stopped."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, cast

from nla_ray.config.training.training_set import Local, TrainingSetConfig
from nla_ray.errors import ConfigError, EngineError
from nla_ray.pipelines.decode.isolate import PATIENCE, isolate, retry
from nla_ray.pipelines.decode.planning import settled
from nla_ray.pipelines.decode.run import Progress, runner_of
from nla_ray.pipelines.decode.telling.meter import Report
from nla_ray.pipelines.training_set.estimate import Estimate, estimate, require_room
from nla_ray.pipelines.training_set.planning import (
    BASE,
    EXPLAINED,
    Ready,
    plan_training_set,
    settled_explainer,
)
from nla_ray.pipelines.training_set.provider import provider_of
from nla_ray.pipelines.training_set.splits import split_documents
from nla_ray.pipelines.training_set.tables import EXPLAINED_SPLITS, Tables
from nla_ray.providers.provider import Provider
from nla_ray.runtime.local import LocalRunner
from nla_ray.runtime.runner import Runner
from nla_ray.stages.extract import ExtractStage
from nla_ray.stages.training_set.base_table import SHOWN_PROBLEMS, BaseStage
from nla_ray.stages.training_set.explain import ExplainStage
from nla_ray.stages.units.work import Done, Task
from nla_ray.store.places.address import open_store
from nla_ray.store.places.objects import Store
from nla_ray.store.runs.plan import differing_keys, put_plan, refuse_any_other_plan, some_of
from nla_ray.store.runs.training_set import (
    MANIFEST,
    Duplicates,
    Explaining,
    Reference,
    TrainingSet,
    get_training_set,
)
from nla_ray.store.runs.units import done_units, footer_of

MAX_FAILED = 0.01
"""Share of the documents that may be left out because no worker survives them."""


@dataclass(frozen=True)
class Built:
    """A finished training set; `again` if it was finished before."""

    output: str
    set: TrainingSet
    again: bool
    warnings: tuple[str, ...]


def build_training_set(config: TrainingSetConfig, *, report: Report = lambda _: None) -> Built:
    """Build the training set at `config.output`, or go on where an earlier attempt stopped.

    Raises NlaError for what cannot be used, BudgetError where the provider's budget is spent; all that was
    made and answered by then is kept.
    """
    out, work = places(config)
    there = get_training_set(out)
    config, explainer = settled_explainer(config.model_copy(update={"engine": settled(config)}))

    def doing(what: str, documents: int) -> None:
        report(Progress(what, documents))

    if there is not None:
        ready = plan_training_set(config, explainer, doing)
        require_same(ready, there, out)
        return Built(config.output, there, True, ready.warnings)
    # The provider first: reading the corpus may take long, and what a provider lacks is known at once.
    provider = provider_of(config, answers_of(config, work), explainer.sha256 if explainer else "")
    ready = plan_training_set(config, explainer, doing)
    refuse_any_other_plan(work, ready.plan)
    require_room(estimate(ready, work), work)
    work.probe()
    put_plan(work, ready.plan)
    target = ready.config.target
    settings = ready.config.model_copy(update={"target": target and target.anchored()})
    base = [
        ExtractStage(settings, ready.identity, d_model=ready.d_model),
        BaseStage(settings.corpus, settings.layer, ready.d_model, work, ready.ref(BASE)),
    ]
    extract(ready, work, runner_of(settings, base), Meter("extracting", ready, report))
    report(Progress("splitting"))
    duplicates = split_documents(ready, work)
    if provider is not None:
        stage = ExplainStage(provider, EXPLAINED_SPLITS, work, ready.ref(BASE), ready.ref(EXPLAINED))
        local = isinstance(settings.provider, Local)
        runner = runner_of(settings, [stage]) if local else LocalRunner([stage])
        with closing(provider):
            explain(ready, work, provider, runner, Meter("explaining", ready, report))
    finished = write(ready, work, out, duplicates, report)
    return Built(config.output, finished, False, (*ready.warnings, *asked_again(ready, work)))


def plan(config: TrainingSetConfig, *, report: Report = lambda _: None) -> tuple[Ready, Estimate]:
    """What building would do and cost; nothing is written, nothing is asked."""
    out, work = places(config)
    there = get_training_set(out)
    config, explainer = settled_explainer(config.model_copy(update={"engine": settled(config)}))
    ready = plan_training_set(config, explainer, lambda doing, documents: report(Progress(doing, documents)))
    if there is not None:
        require_same(ready, there, out)
    refuse_any_other_plan(work, ready.plan)
    return ready, estimate(ready, work)


def places(config: TrainingSetConfig) -> tuple[Store, Store]:
    """The stores of the set and of what is made on the way."""
    out = open_store(config.output, overwrites=config.overwrites)
    return out, open_store(f"{config.output.rstrip('/')}/work", overwrites=config.overwrites)


def answers_of(config: TrainingSetConfig, work: Store) -> Store:
    """Where paid answers are kept."""
    return work if config.answers is None else open_store(config.answers, overwrites=config.overwrites)


def require_same(ready: Ready, there: TrainingSet, out: Store) -> None:
    """Raise ConfigError, naming what differs, where a place holds another finished set."""
    if there.set_id == ready.set_id:
        return
    keys = differing_keys(
        {**there.config, "weights": there.weights}, {**ready.recipe, "weights": ready.plan.facts["weights"]}
    )
    differing = some_of(keys or ["the content of the corpus"])
    raise ConfigError(
        f"{out.url}: holds another training set; it differs in {differing}: "
        "set that back, or name another output"
    )


def missing(ready: Ready, work: Store, table: str, meter: Meter) -> list[Task]:
    """The units of one table that are still to be made."""
    done = done_units(work, ready.ref(table))
    tasks = [task for task in ready.tasks if task.unit_id not in done]
    meter.start(len(ready.tasks) - len(tasks))
    return tasks


def extract(ready: Ready, work: Store, runner: Runner, meter: Meter) -> None:
    """Make the base tables that are missing, those that fail without the documents at fault."""
    tasks = missing(ready, work, BASE, meter)
    if not tasks:
        return
    runner.say = meter.say
    with runner as opened:
        failed = yield_all(meter, retry(tasks, opened.stream, patience=PATIENCE))
        again = [task for task, _ in failed.values()]
        allowed = MAX_FAILED * ready.survey.documents
        yield_all(meter, isolate(again, opened.stream, allowed=allowed, alone=len(again) == len(tasks)))


def explain(ready: Ready, work: Store, provider: Provider, runner: Runner, meter: Meter) -> None:
    """Explain the units that are missing. Raises EngineError where one cannot be, as it stands."""
    tasks = missing(ready, work, EXPLAINED, meter)
    if not tasks:
        return
    waiting = {task.unit_id for task in tasks}
    paid = [
        footer_of(work, ready.ref(EXPLAINED), task.unit_id).tally
        for task in ready.tasks
        if task.unit_id not in waiting
    ]
    provider.remember(*(sum(cast(int, one[name]) for one in paid) for name in ("requests", "tokens")))
    runner.say = meter.say
    with runner as opened:
        failed = yield_all(meter, retry(tasks, opened.stream))
        still = yield_all(meter, retry([task for task, _ in failed.values()], opened.stream))
    for task, reason in still.values():
        raise EngineError(f"unit {task.unit_id} cannot be explained: {reason}; what is written stays")


def yield_all(meter: Meter, units: Generator[Done, None, Any]) -> dict[str, tuple[Task, str]]:
    """Count all units that are made; what the generator returns."""
    while True:
        try:
            meter.count(next(units).tally.vectors)
        except StopIteration as end:
            return cast(dict[str, tuple[Task, str]], end.value)


class Meter:
    """Counts units and rows of one step and reports how far it is."""

    def __init__(self, doing: str, ready: Ready, report: Report) -> None:
        self._doing, self._ready, self._report = doing, ready, report
        self._said: str | None = None
        self._before, self._units, self._rows = 0, 0, 0
        self._started = time.perf_counter()

    def say(self, said: str | None) -> None:
        """What the runner does besides its work; None: that is over."""
        self._said = said
        if said is not None:
            self._tell()

    def start(self, before: int) -> None:
        """Begin; so many units were there before."""
        self._before, self._started = before, time.perf_counter()
        self._tell()

    def count(self, rows: int) -> None:
        """A unit with so many rows was made."""
        self._units, self._rows = self._units + 1, self._rows + rows
        self._tell()

    def _tell(self) -> None:
        self._report(
            Progress(
                self._said or self._doing,
                documents=self._ready.survey.documents,
                units=self._before + self._units,
                of_units=len(self._ready.tasks),
                before=self._before,
                vectors=self._rows,
                seconds=time.perf_counter() - self._started,
            )
        )


def write(ready: Ready, work: Store, out: Store, duplicates: Duplicates, report: Report) -> TrainingSet:
    """Write the tables, and the manifest last."""
    tables = Tables(ready, work, out)
    meter = Meter("writing", ready, report)
    meter.start(0)
    for task in ready.tasks:
        meter.count(tables.add(task.unit_id))
    splits = {name: parts.finish() for name, parts in tables.parts.items()}
    unusable, problems = problems_of(ready, work)
    made = TrainingSet(
        set_id=ready.set_id,
        target=ready.base_model,
        layer=ready.config.layer,
        d_model=ready.d_model,
        splits=splits,
        templates=ready.config.templates,
        baseline=Reference(
            value=tables.directions.variance_nrm(),
            reference="the vectors of this training set, held_out left out",
            n=tables.directions.n,
        ),
        norm_p75=tables.norm_p75(),
        duplicates=duplicates,
        explaining=explaining(ready, work),
        unusable=unusable,
        problems=problems,
        config=ready.recipe,
        weights=ready.plan.facts["weights"],
        versions=cast(dict[str, str], ready.plan.facts["versions"]),
    )
    out.put_new(MANIFEST, (made.model_dump_json(indent=1) + "\n").encode())
    return made


def tallies(ready: Ready, work: Store, table: str) -> Sequence[dict[str, Any]]:
    """What the writers of all units counted."""
    ref = ready.ref(table)
    return work.map(lambda task: footer_of(work, ref, task.unit_id).tally, ready.tasks)


def problems_of(ready: Ready, work: Store) -> tuple[int, tuple[str, ...]]:
    """How many documents and vectors could not be used, and why some of them."""
    found = tallies(ready, work, BASE)
    shown = [problem for one in found for problem in one["problems"]]
    return sum(one["unusable"] for one in found), tuple(shown[: 2 * SHOWN_PROBLEMS])


def explaining(ready: Ready, work: Store) -> Explaining:
    """What became of all rows that were to be explained."""
    found = tallies(ready, work, EXPLAINED) if ready.config.provider else ()
    dropped = Counter[str]()
    for one in found:
        dropped.update(one["dropped"])
    sums = {name: sum(one[name] for one in found) for name in ("explained", "requests", "tokens")}
    return Explaining(dropped=dict(sorted(dropped.items())), **sums)


def asked_again(ready: Ready, work: Store) -> Iterator[str]:
    """A warning of kept answers that said nothing."""
    found = tallies(ready, work, EXPLAINED) if ready.config.provider else ()
    if blank := sum(one.get("asked_again", 0) for one in found):
        yield f"{blank} kept answers were blank or nothing but reasoning; they were asked for again"
