"""How far a decode is: units are counted as they pass, and everybody who watches is told."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import fields, replace
from typing import TypeVar, cast

from nla_ray.pipelines.decode.planning import Decode
from nla_ray.pipelines.decode.telling.events import Events
from nla_ray.runtime.progress import Labels, Progress
from nla_ray.stages.units.tally import Tally, total
from nla_ray.stages.units.work import Done
from nla_ray.tables import REAL
from nla_ray.text import masked

T = TypeVar("T")

Report = Callable[[Progress], None]
"""Told how far a run is."""


def labels_of(ready: Decode) -> Labels:
    """What the run is called in metrics; a corpus of several places by the first of them."""
    model = ready.config.models.target or ready.config.models.av
    named = {"model": str(model), "corpus": ready.config.corpus.paths[0]} | ready.plan.labels
    known = {one.name for one in fields(Labels)}
    return Labels(
        run=ready.plan.run_id, **{name: masked(text) for name, text in named.items() if name in known}
    )


class Meter:
    """Counts the units that pass, and those `made` here, and reports how far the run is.

    `seconds` are those from start to stop.
    """

    def __init__(self, ready: Decode, report: Report, events: Events) -> None:
        self.doing, self.tally, self.units, self.made, self.seconds = "decoding", Tally(), 0, 0, 0.0
        self.events, self._cell = events, labels_of(ready).cell()
        self._said: str | None = None
        self._ready, self._reports, self._before = ready, [report], 0
        self._started = time.perf_counter()

    def start(self, before: int, report: Report) -> None:
        """Begin; so many units were there before, and there is one more to report to."""
        self._reports.append(report)
        self._before, self._started = before, time.perf_counter()
        self._tell()

    def show(self, now: Progress) -> None:
        """Report what is done before units are made."""
        self._reports[0](replace(now, run=self._ready.plan.run_id, cell=self._cell))

    def say(self, said: str | None) -> None:
        """What the runner does besides its work; None: that is over."""
        self._said = said
        if said is not None:
            self.events.add("waiting", what=said)
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
            self.made += done.made
            self._tell()
            yield done

    def _tell(self) -> None:
        outcomes = self.tally.outcomes.get(REAL, Counter())
        answers, cos = outcomes.total(), self.tally.mean_cos(REAL)
        baseline = self._ready.baseline
        now = Progress(
            self._said or self.doing,
            run=self._ready.plan.run_id,
            cell=self._cell,
            documents=self._ready.survey.documents,
            units=self._before + self.units,
            of_units=len(self._ready.tasks),
            before=self._before,
            vectors=self.tally.vectors,
            controls=True,
            tokens=self.tally.tokens,
            busy=dict(self.tally.seconds),
            seconds=time.perf_counter() - self._started,
            slot_use=self.tally.slot_use,
            unclosed=(outcomes["unclosed"] + outcomes["length"]) / answers if answers else None,
            fve_nrm=None if cos is None or baseline is None else 1 - 2 * (1 - cos) / baseline.value,
        )
        for report in self._reports:
            report(now)
