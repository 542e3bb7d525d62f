"""The faults: each disturbs one decode and lets it end, by the same command again where it must."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from tests.faults.bench import Bench, Seen, Trial
from tests.faults.harm import Harm, Kind
from tests.faults.jobs import Job
from tests.faults.judge import Verdict, judge, judge_real
from tests.runtime.processes import WORKER, family
from tests.store.faults import Request

UNUSABLE, OVER_THE_LIMIT, PASSING_FAULT = 2, 6, 8
SOMETIMES = 0.15
"""Share of the requests that fail, where faults come and go."""


@dataclass(frozen=True)
class Fault:
    """A kind of fault: what it does to a trial, and the exit codes that its disturbed runs may end with.

    Documents that are `poisoned` end in quarantine, those that are `failed` have rows that say why.
    """

    name: str
    act: Callable[[Trial], None]
    codes: frozenset[int]
    variant: str = "documents"
    place: str = "s3"
    poisoned: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    others: int | None = None
    """Rows of other documents that fail; the corpus is not the usual one then."""

    def run(self, bench: Bench, seed: int) -> tuple[Verdict, list[int]]:
        """Disturb a decode once and judge what is left; its exit codes beside."""
        calm = bench.calm_of(self.variant)
        trial = bench.trial(self.variant, seed, self.place)
        self.act(trial)
        if self.others is None:
            verdict = judge(trial.tables, calm.rows, self.poisoned, self.failed)
        else:
            verdict = judge_real(trial.tables, calm.rows, self.others)
        strange = tuple(
            f"exit code {code}: {said[-300:]}"
            for code, said in zip(trial.codes[:-1], trial.told, strict=False)
            if code not in self.codes
        )
        return (
            Verdict(
                verdict.planned,
                verdict.lost,
                verdict.duplicated,
                verdict.wrong,
                (*verdict.problems, *strange),
            ),
            trial.codes,
        )


def at_request(trial: Trial, number: int, then: Callable[[Request], str | None]) -> Seen:
    """What is called once a trial has made so many requests: that one goes wrong as it says."""
    seen = iter(range(1 << 30))
    return lambda request: then(request) if next(seen) == number else None


def killed_at_request(*, committing: bool = False, number: int = signal.SIGKILL) -> Callable[[Trial], None]:
    """A signal to the driver when it makes a request, drawn among all, or among those of its commit."""

    def act(trial: Trial) -> None:
        calm = trial.bench.calm_of(trial.variant)
        first = calm.commit_begins() if committing else 0
        at = trial.rng.randrange(first, len(calm.requests))
        jobs: list[Job] = []

        def strike(_: Request) -> str:
            jobs[0].signal(number)
            return "reset"

        begin = threading.Event()
        strike_at = at_request(trial, at, strike)
        with trial.watched(lambda request: strike_at(request) if begin.wait(60) else None):
            jobs.append(trial.start())
            begin.set()
            trial.end(jobs[0])
        trial.finish()

    return act


def killed_some_time(number: int = signal.SIGKILL) -> Callable[[Trial], None]:
    """A signal to the driver at some moment of its run."""

    def act(trial: Trial) -> None:
        calm = trial.bench.calm_of(trial.variant)
        job = trial.start()
        time.sleep(trial.rng.uniform(0, calm.seconds))
        job.signal(number)
        trial.end(job)
        trial.finish()

    return act


def workers_killed(trial: Trial) -> None:
    """An actor of Ray is killed while it works, and another one some time later."""
    job = trial.start()
    for _ in range(2):
        victims = _wait_for_workers(job)
        if victims:
            time.sleep(trial.rng.uniform(0, 2))
            with suppress(ProcessLookupError):
                os.kill(trial.rng.choice(victims), signal.SIGKILL)
    trial.end(job)
    trial.finish()


def _wait_for_workers(job: Job) -> list[int]:
    """The processes of a job's actors, once there are some; none where it ends before."""
    while job.process.is_alive():
        found = [one.pid for one in family(job.pid) if one.title().startswith(WORKER)]
        if found:
            return found
        time.sleep(0.1)
    return []


def of_storage(fault: str, where: str) -> Callable[[Trial], None]:
    """Answers go wrong now and then; see `Request` for how. `where`: in the path of the request."""

    def act(trial: Trial) -> None:
        def seen(request: Request) -> str | None:
            meant = where in request.path and trial.rng.random() < SOMETIMES
            return _spoilt(fault, trial) if meant else None

        with trial.watched(seen):
            trial.end(trial.start())
            while trial.codes[-1] == PASSING_FAULT and len(trial.codes) < 3:
                trial.end(trial.start())
        trial.finish()

    return act


def outage(fault: str, where: str, commands: Sequence[str]) -> Callable[[Trial], None]:
    """From some request on each fails, until the run has ended."""

    def act(trial: Trial) -> None:
        calm = trial.bench.calm_of(trial.variant)
        at, seen = trial.rng.randrange(len(calm.requests)), iter(range(1 << 30))

        def broken(request: Request) -> str | None:
            over = next(seen) >= at and request.command in commands and where in request.path
            return _spoilt(fault, trial) if over else None

        with trial.watched(broken):
            trial.end(trial.start())
        trial.finish()

    return act


def _spoilt(fault: str, trial: Trial) -> str:
    return f"flip:{trial.rng.randrange(1 << 30)}" if fault == "flip" else fault


def two_drivers(trial: Trial) -> None:
    """The same command twice at once; one of them is killed in every second trial."""
    jobs = [trial.start(), trial.start()]
    if trial.rng.random() < 0.5:
        time.sleep(trial.rng.uniform(0, trial.bench.calm_of(trial.variant).seconds))
        jobs[0].signal(signal.SIGKILL)
    for job in jobs:
        trial.end(job)
    trial.finish()


def harmful(kind: Kind, doc_id: str, *, once: bool = False) -> Callable[[Trial], None]:
    """A document does harm, always or the first time only."""

    def act(trial: Trial) -> None:
        harm = Harm({doc_id: kind}, trial.folder / "done" if once else None)
        trial.end(trial.start(harm=harm))
        trial.finish(harm, well=(0,) if once else (0, OVER_THE_LIMIT))

    return act


def fed(corpus: Callable[[], bytes], *overrides: str) -> Callable[[Trial], None]:
    """Another corpus is decoded, in which the usual documents are too."""

    def act(trial: Trial) -> None:
        trial.read(corpus())
        trial.end(trial.start(*overrides))
        if trial.codes[-1]:
            raise RuntimeError(f"exit code {trial.codes[-1]}: {trial.said[-500:]}")

    return act
