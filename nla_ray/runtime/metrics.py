"""The metrics of runs and sweeps, which Ray gives to Prometheus by the same names after `ray_`."""

from __future__ import annotations

import time
from collections import Counter as Count
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields

from ray.util.metrics import Counter, Gauge

from nla_ray.runtime.progress import Labels, Progress
from nla_ray.stages.units.work import Done, Failed, Result, Task

KEYS = tuple(field.name for field in fields(Labels))

GAUGES = {
    "nla_units_done": "Units that are written, those of earlier attempts included.",
    "nla_units_left": "Units of the plan that are not written yet.",
    "nla_units_failed": "Units whose last attempt failed or was lost with its worker.",
    "nla_slot_use": "Share of the verbalizers' slots, step by step, that gave a token of an answer.",
    "nla_unclosed_share": "Share of this attempt's real answers without their closing tag, cut off or not.",
    "nla_fve_nrm": "Mean fve_nrm of this attempt's real answers, where the denominator is known.",
    "nla_actors_wanted": "Actors that the run asks the cluster for.",
    "nla_last_unit_time_seconds": "When the last unit was written, or the run began, in Unix time.",
}
COUNTERS = {
    "nla_vectors": "Vectors that were explained, those of controls included.",
    "nla_tokens": "Tokens that the target read.",
    "nla_retries": "Units that were tried again, whole or in part.",
}
ALIVE = "nla_actor_alive"
CELLS = "nla_sweep_cells"


class RunMetrics:
    """The metrics of a run, as far as its driver knows them."""

    def __init__(self, labels: Labels) -> None:
        tags = asdict(labels)
        self._gauges = {
            name: Gauge(name, said, tag_keys=KEYS).set_default_tags(tags) for name, said in GAUGES.items()
        }
        self._counters = {
            name: Counter(name, said, tag_keys=KEYS).set_default_tags(tags) for name, said in COUNTERS.items()
        }
        self._counted = Count[str]()
        self._tried, self._waiting, self._failed = set[str](), set[str](), set[str]()
        self._set("nla_last_unit_time_seconds", time.time())

    def begin(self, tasks: Sequence[Task], actors: int) -> None:
        """Units are sent to so many actors."""
        self._waiting = {task.unit_id for task in tasks}
        self._count("nla_retries", self._counted["nla_retries"] + len(self._waiting & self._tried))
        self._tried |= self._waiting
        self._set("nla_actors_wanted", actors)

    def saw(self, result: Result) -> None:
        """A unit came back, made or failed."""
        if isinstance(result, Failed):
            self._failed.add(result.task.unit_id)
        elif isinstance(result, Done) and result.file is not None:
            self._waiting.discard(result.task.unit_id)
            self._failed.discard(result.task.unit_id)
            self._set("nla_last_unit_time_seconds", time.time())
        self._set("nla_units_failed", len(self._failed))

    def end(self) -> None:
        """No more units come back; what was not made has failed, or was lost with its workers."""
        self._failed |= self._waiting
        self._set("nla_units_failed", len(self._failed))
        self._set("nla_actors_wanted", 0)

    def tell(self, now: Progress) -> None:
        """The run is so far."""
        self._set("nla_units_done", now.units)
        self._set("nla_units_left", now.of_units - now.units)
        self._count("nla_vectors", now.vectors)
        self._count("nla_tokens", now.tokens)
        if now.slot_use is not None:
            self._set("nla_slot_use", now.slot_use)
        if now.unclosed is not None:
            self._set("nla_unclosed_share", now.unclosed)
        if now.fve_nrm is not None:
            self._set("nla_fve_nrm", now.fve_nrm)

    def _set(self, name: str, value: float) -> None:
        self._gauges[name].set(value)

    def _count(self, name: str, so_far: int) -> None:
        if so_far > self._counted[name]:
            self._counters[name].inc(so_far - self._counted[name])
            self._counted[name] = so_far


class SweepMetrics:
    """The metric of a week of a sweep: its cells by state, as its driver sees them."""

    def __init__(self, sweep: str, week: str) -> None:
        said = "Cells of the week by state: done, running, failed, missing, left."
        self._gauge = Gauge(CELLS, said, tag_keys=("sweep", "week", "state"))
        self._gauge.set_default_tags({"sweep": sweep, "week": week})

    def tell(self, counts: Mapping[str, int]) -> None:
        """So many cells are in each state."""
        for state, n in counts.items():
            self._gauge.set(n, {"state": state})


def alive(labels: Labels) -> None:
    """This process is an actor of a run, with its models loaded; Ray forgets that when the process ends."""
    gauge = Gauge(ALIVE, "Actors of the run that have loaded their models.", tag_keys=KEYS)
    gauge.set(1, asdict(labels))
