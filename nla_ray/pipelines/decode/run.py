"""Decode a corpus: plan it, make the units that are missing on a runner, commit them, sum them up."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast

from nla_ray.config.decode import DecodeConfig
from nla_ray.config.training.training_set import TrainingSetConfig
from nla_ray.corpus.files.sources import DEMO_CORPUS
from nla_ray.demo.vocabulary import vocabulary
from nla_ray.errors import ConfigError, InputError
from nla_ray.pipelines.decode.isolate import PATIENCE, isolate, retry
from nla_ray.pipelines.decode.outcome.baseline import own_baseline
from nla_ray.pipelines.decode.outcome.summary import Summary, summarize
from nla_ray.pipelines.decode.pair.proving import proof_of_run, settle_injection, why_not
from nla_ray.pipelines.decode.pieces.cache import Cache
from nla_ray.pipelines.decode.planning import Decode, anchored, plan_decode
from nla_ray.pipelines.decode.reuse import Reuse, written
from nla_ray.pipelines.decode.survey import Reads
from nla_ray.pipelines.decode.telling.events import Events
from nla_ray.pipelines.decode.telling.meter import Meter, Report, labels_of
from nla_ray.pipelines.provenance import versions
from nla_ray.runtime.local import LocalRunner
from nla_ray.runtime.progress import UNNAMED, Labels
from nla_ray.runtime.progress import Progress as Progress
from nla_ray.runtime.runner import Runner
from nla_ray.runtime.workers import Workers
from nla_ray.stages.code import Code
from nla_ray.stages.extract import ExtractStage
from nla_ray.stages.score import ScoreStage
from nla_ray.stages.stage import Stage
from nla_ray.stages.units.look import LookFirst
from nla_ray.stages.units.tally import Reused, peak_bytes, total, worker_id
from nla_ray.stages.units.work import Done, Task
from nla_ray.stages.verbalize import VerbalizeStage
from nla_ray.stages.write import WriteStage, keeper_of
from nla_ray.store.catalog.cells import assign
from nla_ray.store.catalog.files import FileList, FileRecord
from nla_ray.store.places.address import open_store
from nla_ray.store.places.objects import Store
from nla_ray.store.runs.manifest import Manifest, get_manifest
from nla_ray.store.runs.plan import Plan, get_plan, planned_runs, refuse_other_plans
from nla_ray.store.runs.run import Run, open_run
from nla_ray.store.runs.units import RunRef
from nla_ray.store.upkeep.ended import next_id
from nla_ray.text import masked_values

ROW_BYTES = 400
"""A row of explanations on disk, compressed, with its part of the document."""


Running = Callable[[Decode, Sequence[Stage]], Runner]
"""Makes the runner of a run over its stages."""


@dataclass(frozen=True)
class Making:
    """How units are made: the steps of one, and what runs them."""

    stages: Callable[[Decode, Store], Sequence[Stage]]
    running: Running


@dataclass(frozen=True)
class Decoded:
    """A finished run. `again` if it was finished before; `failed_fraction` of its rows are in quarantine.

    `note` says by which other code, if so.
    """

    output: str
    run_id: str
    layer: int
    summary: Summary
    again: bool
    failed_fraction: float
    units: int
    note: str | None = None


def plan(
    config: DecodeConfig, *, keep: bool = False, report: Report = lambda _: None
) -> tuple[Decode, Store]:
    """What a decode would do, and the place where it would write; nothing is written.

    With `keep`, what is read of the corpus is written there all the same, so that it need not be read again.

    Whether it may write there is for `require_place` to say: one may look at any plan.
    """
    store = reachable(config)
    with Workers(config.runner) as workers, Cache(store, at_once=keep) as cache:
        return named_anew(plan_decode(config, reads_of(workers, cache, report)), store), store


def reads_of(workers: Workers, cache: Cache, report: Report) -> Reads:
    """How the corpus is read, and reported."""
    return Reads(workers, cache, lambda doing, documents: report(Progress(doing, documents)))


def named_anew(ready: Decode, store: Store) -> Decode:
    """The same decode under an id that is free where the run of its own id was abandoned or retired."""
    run_id = next_id(store, ready.plan.run_id)
    return replace(
        ready,
        identity=replace(ready.identity, run_id=run_id),
        plan=ready.plan.model_copy(update={"run_id": run_id}),
    )


def written_units(ready: Decode, store: Store) -> int:
    """How many of a decode's units are written already."""
    return len(written(ready, store))


def reachable(config: DecodeConfig) -> Store:
    """The place of the tables, looked at before the corpus is read. Raises NlaError where nothing is there.

    The cluster is looked for too, if one is named.
    """
    store = open_store(config.output, overwrites=config.overwrites)
    planned_runs(store)
    if config.runner.name == "ray":
        from nla_ray.runtime.cluster import require_cluster

        require_cluster(config.runner, config.output)
    return store


def stages_of(ready: Decode, store: Store) -> list[Stage]:
    """The steps of a unit, in order; the last one writes."""
    config, identity = anchored(ready.config), ready.identity
    ref, own = RunRef.of(ready.plan), ready.baseline is None
    return [
        LookFirst(
            ExtractStage(config, identity, d_model=ready.sidecar.d_model, own_baseline=own), store, ref
        ),
        VerbalizeStage(config),
        ScoreStage(config),
        WriteStage(config, identity, store, ref, ready.baseline),
    ]


def decode(
    config: DecodeConfig,
    *,
    add: bool = False,
    report: Report = lambda _: None,
    stages: Callable[[Decode, Store], Sequence[Stage]] = stages_of,
    running: Running | None = None,
    labels: Mapping[str, str] = {},
) -> Decoded:
    """Decode the corpus into the tables at `config.output`, or go on where an earlier attempt stopped.

    Everything that can be checked without weights is checked before anything is written, and then that the
    pair reads the target (`prove`). `add` allows tables that hold other runs; `stages` may wrap the steps,
    `running` may share a runner with other runs; `labels` say where the run belongs, see `Plan`. Raises
    NlaError; a fault of a document or a vector is a row, and what no worker can make is in the quarantine.
    """
    store = reachable(config)
    with Workers(config.runner) as workers:
        ready = begun(store, config, workers, add=add, report=report, labels=labels)
        if isinstance(ready, Decoded):
            return ready
        return ended(store, ready, Making(stages, running or alone), add=add, report=report)


def begun(
    store: Store,
    config: DecodeConfig,
    workers: Workers,
    *,
    add: bool,
    report: Report,
    labels: Mapping[str, str] = {},
) -> Decode | Decoded:
    """The plan of a decode, checked and its pair proven; of one that is finished what it came to.

    Raises NlaError before anything but what was read of the corpus is written.
    """
    with Cache(store, at_once=add) as cache:
        report(Progress("checking the models"))
        config = settle_injection(config, workers, cache)
        ready = plan_decode(config, reads_of(workers, cache, report))
        ready = replace(ready, plan=ready.plan.model_copy(update={"labels": dict(labels)}))
        ready = named_anew(ready, store)
        there = get_manifest(store, ready.plan.run_id)
        if there is not None:
            assign(store, there.manifest, labels)
            note = other_code(ready, get_plan(store, ready.plan.run_id))
            return decoded(ready, there.manifest, again=True, note=note)
        require_place(store, ready, add=add)
        ready = taken_up(store, ready)
        if why_not(ready.config) is None:
            report(Progress("proving that the pair reads the target"))
        ready = replace(ready, proof=proof_of_run(store, ready, workers, cache))
        cache.keep()
    return ready


def ended(store: Store, ready: Decode, by: Making, *, add: bool, report: Report) -> Decoded:
    """Make a decode that is begun, commit it and sum it up."""
    hidden, labels = keeper_of(ready.config).reason, ready.plan.labels
    with Events(store, ready.plan.run_id, labels, hidden) as events:
        manifest = carried_out(store, ready, Meter(ready, report, events), by, add=add)
    if manifest.labels != labels:
        assign(store, manifest, labels)
    return decoded(ready, manifest, again=False)


def carried_out(store: Store, ready: Decode, meter: Meter, by: Making, *, add: bool) -> Manifest:
    """Take what other runs hold, make what is left on a runner, and commit."""
    proof, documents = ready.proof.get("verdict"), ready.survey.documents
    meter.events.add("planned", units=len(ready.tasks), documents=documents, proof=proof)
    run = open_run(store, ready.plan, add=add)
    files = FileList.of(run.plan.run_id, filter(None, reuse(run, ready, meter.show)))
    meter.events.add("reused", units=len(files.units(run.plan.table)))
    if left := set(run.missing()):
        meter.show(Progress("starting", ready.survey.documents, of_units=len(ready.tasks)))
        tasks = [task for task in ready.tasks if task.unit_id in left]
        runner = by.running(ready, by.stages(ready, store))
        runner.say = meter.say
        with runner:
            done = (one.file for one in make(run, ready, tasks, runner, meter) if one.file is not None)
            files = files.with_more(done)
            meter.stop()
        require_shared(run)
    manifest = run.commit(record_of(run, ready, meter), files)
    meter.events.add("committed", rows=manifest.rows, quarantined=manifest.quarantined)
    return manifest


def taken_up(store: Store, ready: Decode) -> Decode:
    """The decode as an earlier attempt began it, if one did: models keep the names that its rows have.

    Raises ConfigError where other code began it.
    """
    there = get_plan(store, ready.plan.run_id)
    if there is None:
        return ready
    if other := other_code(ready, there):
        raise ConfigError(
            f"{store.url}: run {there.run_id} was begun {other}, and rows of two versions do not belong into "
            "one run: finish it with that version, or give it up and begin again: "
            f"nla-ray sweep abandon {store.url} {there.run_id}"
        )
    same = (there.facts.get("recipe"), there.units, there.sides)
    if same != (ready.plan.facts["recipe"], ready.plan.units, ready.plan.sides):
        return ready
    names = cast(dict[str, Any], there.facts["models"])
    there = there.model_copy(update={"labels": ready.plan.labels})
    return replace(ready, plan=there, identity=replace(ready.identity, **names))


def other_code(ready: Decode, there: Plan | None) -> str | None:
    """By which code a run was planned, and which one is here; None where they are one."""
    ours = cast(dict[str, str], ready.plan.facts["code"])
    theirs = ours if there is None else cast(dict[str, str], there.facts.get("code"))
    return None if theirs == ours else f"by other code ({Code(**theirs)}; here: {Code(**ours)})"


def reuse(run: Run, ready: Decode, report: Report) -> Iterator[FileRecord | None]:
    """Take the units that other runs hold, before anything is loaded."""
    found = Reuse(run, ready)
    now = Progress("reusing units", ready.survey.documents, found.before, len(ready.tasks), found.before)
    for file in found.files():
        now = replace(now, units=now.units + 1, before=now.before + 1)
        report(now)
        yield file


def require_place(store: Store, ready: Decode, *, add: bool) -> None:
    """Raise NlaError where other runs are in the way, or what is missing will hardly fit (an estimate)."""
    if not add:
        refuse_other_plans(store, ready.plan)
    require_room(store, [ready])


def require_room(store: Store, runs: Iterable[Decode]) -> None:
    """Raise InputError where what is missing of all runs together will hardly fit (an estimate)."""
    store.require_room(sum(needed_bytes(one, written(one, store)) for one in runs))


def needed_bytes(ready: Decode, done: Collection[str]) -> int:
    """Room for the units that are not done, about."""
    left = [task for task in ready.tasks if task.unit_id not in done]
    needed = sum(task.planned or 0 for task in left) * ROW_BYTES
    if "activations" in ready.config.keep:
        share = sum(task.documents for task in left) / max(1, sum(task.documents for task in ready.tasks))
        needed += int((ready.survey.vectors or 0) * share) * ready.sidecar.d_model * 4
    return needed


def require_shared(run: Run) -> None:
    """Raise InputError where workers wrote units that cannot be seen from here."""
    missing = len(run.missing())
    if missing:
        raise InputError(
            f"{run.store.url}: {missing} units were written but are not here: on a cluster the output must "
            "be a folder that all nodes share, or s3://"
        )


def runner_of(
    config: DecodeConfig | TrainingSetConfig,
    stages: Sequence[Stage],
    labels: Labels | Mapping[str, Labels] = UNNAMED,
) -> Runner:
    """The configured runner over these stages; `labels` by run where several share it."""
    if config.runner.name == "local":
        return LocalRunner(stages)
    from nla_ray.runtime.ray_data import RayRunner

    return RayRunner(stages, config.runner, labels)


def alone(ready: Decode, stages: Sequence[Stage]) -> Runner:
    """The runner of one run."""
    return runner_of(ready.config, stages, labels_of(ready))


def make(run: Run, ready: Decode, tasks: Sequence[Task], runner: Runner, meter: Meter) -> Iterator[Done]:
    """Make the missing units, those that fail without the documents at fault."""
    if not run.first:
        # Another driver may be at work: in one order, both would take each unit at the same time.
        tasks = random.Random().sample(tasks, len(tasks))
    meter.start(len(ready.tasks) - len(tasks), runner.tell)
    meter.events.add("begun", units=len(tasks), runner=ready.config.runner.name)
    stream = meter.events.through(runner.stream)
    failed = yield from meter.watch(retry(tasks, stream, patience=PATIENCE))
    if failed:
        meter.doing = "isolating what fails"
        allowed = ready.config.max_failed_fraction * ready.survey.documents
        again = [task for task, _ in failed.values()]
        alone = len(again) == len(tasks)
        yield from meter.watch(isolate(again, stream, allowed=allowed, alone=alone))


def record_of(run: Run, ready: Decode, meter: Meter) -> dict[str, Any]:
    """What became known by running: counts and busy seconds of all units, speed of this attempt."""
    reused = Reused()
    tally = total(reused.seen(run.tallies()))
    baseline = ready.baseline or own_baseline(tally.directions)
    attempt, seconds = meter.tally, meter.seconds
    peaks = attempt.peak_bytes | {worker_id(): peak_bytes()}
    return {
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "baseline": None if baseline is None else baseline.model_dump(),
        "proof": dict(ready.proof),
        "busy_seconds": dict(tally.seconds),
        "documents": tally.documents,
        "truncated": tally.truncated,
        "windowed": tally.windowed,
        "left_out": tally.left_out,
        "vectors": tally.vectors,
        "tokens": tally.tokens,
        "generated_tokens": tally.generated,
        "decoders": dict(tally.decoders),
        "slot_use": tally.slot_use,
        "outcomes": {control: dict(counts) for control, counts in tally.outcomes.items()},
        "reused": reused.as_json(),
        "attempt": {
            "units": meter.made,
            "seconds": seconds,
            "vectors": attempt.vectors,
            "vectors_per_second": attempt.vectors / seconds if seconds > 0 else 0.0,
            "workers": len(attempt.peak_bytes),
            "peak_bytes": sum(peaks.values()),
            "runner": ready.config.runner.model_dump(mode="json"),
        },
        "warnings": [keeper_of(ready.config).reason(said) for said in ready.warnings],
        "config": masked_values(ready.config.model_dump(mode="json")),
        "versions": versions(),
    }


def decoded(ready: Decode, manifest: Manifest, *, again: bool, note: str | None = None) -> Decoded:
    """The finished run, summed up from its committed tables."""
    output, planned = ready.config.output, manifest.rows + manifest.quarantined
    known = vocabulary() if DEMO_CORPUS in ready.config.corpus.paths else None
    return Decoded(
        output=output,
        run_id=manifest.run_id,
        layer=ready.identity.layer,
        summary=summarize(output, manifest, vocabulary=known),
        again=again,
        note=note,
        failed_fraction=manifest.quarantined / planned if planned else 0.0,
        units=manifest.units,
    )
