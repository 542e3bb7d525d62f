"""Decode a corpus: plan it, make the units that are missing on a runner, commit them, sum them up."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

from nla_ray.config.decode import DecodeConfig
from nla_ray.config.training.training_set import TrainingSetConfig
from nla_ray.corpus.files.sources import DEMO_CORPUS
from nla_ray.demo.vocabulary import vocabulary
from nla_ray.errors import InputError
from nla_ray.pipelines.decode.baseline import own_baseline
from nla_ray.pipelines.decode.isolate import PATIENCE, isolate, retry
from nla_ray.pipelines.decode.planning import Decode, anchored, plan_decode
from nla_ray.pipelines.decode.summary import Summary, summarize
from nla_ray.pipelines.provenance import versions
from nla_ray.runtime.local import LocalRunner
from nla_ray.runtime.progress import UNNAMED, Labels
from nla_ray.runtime.progress import Progress as Progress
from nla_ray.runtime.runner import Runner
from nla_ray.stages.extract import ExtractStage
from nla_ray.stages.score import ScoreStage
from nla_ray.stages.stage import Stage
from nla_ray.stages.tally import Tally, peak_bytes, total, worker_id
from nla_ray.stages.verbalize import VerbalizeStage
from nla_ray.stages.work import Done
from nla_ray.stages.write import WriteStage
from nla_ray.store.catalog.files import FileList
from nla_ray.store.places.address import open_store
from nla_ray.store.places.objects import Store
from nla_ray.store.runs.manifest import Manifest, get_manifest
from nla_ray.store.runs.plan import planned_runs, refuse_other_plans
from nla_ray.store.runs.run import Run, open_run
from nla_ray.store.runs.units import RunRef, done_units
from nla_ray.store.upkeep.ended import next_id
from nla_ray.tables import REAL

T = TypeVar("T")

ROW_BYTES = 400
"""A row of explanations on disk, compressed, with its part of the document."""


Report = Callable[[Progress], None]

Running = Callable[[DecodeConfig, Sequence[Stage], Labels], Runner]
"""Makes the runner of a run over its stages."""


@dataclass(frozen=True)
class Decoded:
    """A finished run. `again` if it was finished before; `failed_fraction` of its rows are in quarantine."""

    output: str
    run_id: str
    summary: Summary
    again: bool
    failed_fraction: float
    units: int


def plan(config: DecodeConfig, *, report: Report = lambda _: None) -> tuple[Decode, Store]:
    """What a decode would do, and the place where it would write; nothing is written.

    Whether it may write there is for `require_place` to say: one may look at any plan.
    """
    store = reachable(config)
    ready = plan_decode(config, lambda doing, documents: report(Progress(doing, documents)))
    return named_anew(ready, store), store


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
    return len(done_units(store, RunRef.of(ready.plan)))


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
    return [
        ExtractStage(config, identity, d_model=ready.sidecar.d_model, own_baseline=ready.baseline is None),
        VerbalizeStage(config),
        ScoreStage(config),
        WriteStage(config, identity, store, RunRef.of(ready.plan), ready.baseline),
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

    Everything that can be checked without weights is checked before anything is written. `add` allows tables
    that hold other runs; `stages` may wrap the steps, `running` may share a runner with other runs;
    `labels` say where the run belongs, see `Plan`. Raises NlaError; a fault of a document or a vector is a
    row, and what no worker can make is in the quarantine.
    """
    store = reachable(config)
    ready = plan_decode(config, lambda doing, documents: report(Progress(doing, documents)))
    ready = replace(ready, plan=ready.plan.model_copy(update={"labels": dict(labels)}))
    ready = named_anew(ready, store)
    there = get_manifest(store, ready.plan.run_id)
    if there is not None:
        return decoded(ready, there.manifest, again=True)
    require_place(store, ready, add=add)
    report(Progress("starting", ready.survey.documents, of_units=len(ready.tasks)))
    with (running or runner_of)(ready.config, stages(ready, store), labels_of(ready)) as runner:
        run = open_run(store, ready.plan, add=add)
        meter = Meter(ready, report, runner.tell)
        made = (done.file for done in make(run, ready, runner, meter) if done.file is not None)
        files = FileList.of(ready.plan.run_id, made)
        meter.stop()
    require_shared(run)
    manifest = run.commit(record_of(run, ready, meter), files)
    return decoded(ready, manifest, again=False)


def require_place(store: Store, ready: Decode, *, add: bool) -> None:
    """Raise NlaError where other runs are in the way, or what is missing will hardly fit (an estimate)."""
    if not add:
        refuse_other_plans(store, ready.plan)
    free, needed = store.free(), needed_bytes(ready, done_units(store, RunRef.of(ready.plan)))
    if free is not None and needed > free:
        raise InputError(
            f"{store.url}: about {needed / 2**30:.1f} GiB are needed and {free / 2**30:.1f} GiB are free; "
            "make room or name another output"
        )


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


def labels_of(ready: Decode) -> Labels:
    """What the run is called in metrics; a corpus of several places by the first of them."""
    model = ready.config.models.target or ready.config.models.av
    return Labels(run=ready.plan.run_id, model=str(model), corpus=ready.config.corpus.paths[0])


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


def make(run: Run, ready: Decode, runner: Runner, meter: Meter) -> Iterator[Done]:
    """Make the missing units, those that fail without the documents at fault."""
    missing = set(run.missing())
    tasks = [task for task in ready.tasks if task.unit_id in missing]
    meter.start(len(ready.tasks) - len(tasks))
    failed = yield from meter.watch(retry(tasks, runner.stream, patience=PATIENCE))
    if failed:
        meter.doing = "isolating what fails"
        allowed = ready.config.max_failed_fraction * ready.survey.documents
        again = [task for task, _ in failed.values()]
        alone = len(again) == len(tasks)
        yield from meter.watch(isolate(again, runner.stream, allowed=allowed, alone=alone))


class Meter:
    """Counts the units that pass and reports how far the run is; `seconds` from start to stop."""

    def __init__(self, ready: Decode, *reports: Report) -> None:
        self.doing, self.tally, self.units, self.seconds = "decoding", Tally(), 0, 0.0
        self._ready, self._reports, self._before = ready, reports, 0
        self._started = time.perf_counter()

    def start(self, before: int) -> None:
        """Begin; so many units were there before."""
        self._before, self._started = before, time.perf_counter()
        self._tell()

    def stop(self) -> None:
        """End the time."""
        self.seconds = time.perf_counter() - self._started

    def watch(self, units: Generator[Done, None, T]) -> Generator[Done, None, T]:
        """The same units, each reported."""
        while True:
            try:
                done = next(units)
            except StopIteration as end:
                return cast(T, end.value)
            self.tally = total([self.tally.as_json(), done.tally.as_json()])
            self.units += 1
            self._tell()
            yield done

    def _tell(self) -> None:
        outcomes = self.tally.outcomes.get(REAL, Counter())
        answers, cos = outcomes.total(), self.tally.mean_cos(REAL)
        baseline = self._ready.baseline
        now = Progress(
            self.doing,
            documents=self._ready.survey.documents,
            units=self._before + self.units,
            of_units=len(self._ready.tasks),
            before=self._before,
            vectors=self.tally.vectors,
            controls=True,
            tokens=self.tally.tokens,
            busy=dict(self.tally.seconds),
            seconds=time.perf_counter() - self._started,
            unclosed=outcomes["unclosed"] / answers if answers else None,
            fve_nrm=None if cos is None or baseline is None else 1 - 2 * (1 - cos) / baseline.value,
        )
        for report in self._reports:
            report(now)


def record_of(run: Run, ready: Decode, meter: Meter) -> dict[str, Any]:
    """What became known by running: counts and busy seconds of all units, speed of this attempt."""
    tally = total(run.tallies())
    baseline = ready.baseline or own_baseline(tally.directions)
    attempt, seconds = meter.tally, meter.seconds
    peaks = attempt.peak_bytes | {worker_id(): peak_bytes()}
    return {
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "baseline": None if baseline is None else baseline.model_dump(),
        "busy_seconds": dict(tally.seconds),
        "documents": tally.documents,
        "truncated": tally.truncated,
        "windowed": tally.windowed,
        "left_out": tally.left_out,
        "vectors": tally.vectors,
        "tokens": tally.tokens,
        "generated_tokens": tally.generated,
        "outcomes": {control: dict(counts) for control, counts in tally.outcomes.items()},
        "attempt": {
            "units": meter.units,
            "seconds": seconds,
            "vectors": attempt.vectors,
            "vectors_per_second": attempt.vectors / seconds if seconds > 0 else 0.0,
            "workers": len(attempt.peak_bytes),
            "peak_bytes": sum(peaks.values()),
            "runner": ready.config.runner.model_dump(mode="json"),
        },
        "warnings": list(ready.warnings),
        "config": ready.config.model_dump(mode="json"),
        "versions": versions(),
    }


def decoded(ready: Decode, manifest: Manifest, *, again: bool) -> Decoded:
    """The finished run, summed up from its committed tables."""
    output, planned = ready.config.output, manifest.rows + manifest.quarantined
    known = vocabulary() if DEMO_CORPUS in ready.config.corpus.paths else None
    return Decoded(
        output=output,
        run_id=manifest.run_id,
        summary=summarize(output, manifest, vocabulary=known),
        again=again,
        failed_fraction=manifest.quarantined / planned if planned else 0.0,
        units=manifest.units,
    )
