"""Run one stage: from its newest checkpoint to its last step, measured on the way, and back to the best."""

from __future__ import annotations

import time
from dataclasses import dataclass

from nla_ray.training.checkpoint import Checkpoints
from nla_ray.training.learner import Learner, Metrics
from nla_ray.training.metrics import Journal, Progress, Report, Speed


@dataclass(frozen=True)
class Every:
    """Steps between checkpoints, and between measurements (a multiple of it)."""

    save: int
    measure: int


@dataclass(frozen=True)
class Done:
    """The checkpoint that the learner was left at, and what was measured there."""

    step: int
    held_out: Metrics


class Run:
    """A stage under way on this rank; all ranks run the same, and the first has a journal."""

    def __init__(self, stage: str, learner: Learner, checkpoints: Checkpoints, every: Every) -> None:
        self.stage, self.learner, self.checkpoints, self.every = stage, learner, checkpoints, every
        self.newest = checkpoints.newest()
        self.start = self.newest.step if self.newest else 0
        """Steps that are taken already."""

    def finish(self, journal: Journal | None, report: Report) -> Done:
        """Take the steps that are left. Raises NlaError as the learner and the checkpoints do."""
        if self.newest is not None:
            self.checkpoints.restore(self.newest, self.learner.state())
            held_out = self.newest.held_out
        else:
            held_out = self._measure(0, journal)
        speed = Speed()
        for step in range(self.start, self.learner.steps):
            began = time.monotonic()
            metrics = self.learner.step(step)
            speed.add(time.monotonic() - began, metrics.get("tokens", 0.0))
            held_out = self._after(step + 1, metrics, held_out, journal)
            report(
                Progress(
                    self.stage, step + 1, self.learner.steps, metrics, held_out,
                    speed.seconds_per_step, speed.tokens_per_second,
                )
            )  # fmt: skip
        self.checkpoints.wait()
        best = self.checkpoints.best()
        if best is None:
            raise RuntimeError("a finished stage has a checkpoint")
        if best.step != self.learner.steps or self.start == self.learner.steps:
            self.checkpoints.restore(best, self.learner.state())
        return Done(best.step, best.held_out)

    def _after(self, taken: int, metrics: Metrics, held_out: Metrics, journal: Journal | None) -> Metrics:
        """What a step is followed by: its line, a measurement, a checkpoint, as they are due."""
        if journal is not None:
            journal.write(taken, "train", metrics)
        last = taken == self.learner.steps
        fresh: Metrics = {}
        if last or taken % self.every.measure == 0:
            fresh = held_out = self._measure(taken, journal)
        if last or taken % self.every.save == 0:
            self.checkpoints.save(taken, self.learner.state(), fresh)
            if journal is not None:
                journal.flush()
        return held_out

    def _measure(self, taken: int, journal: Journal | None) -> Metrics:
        found = self.learner.evaluate()
        if journal is not None:
            journal.write(taken, "held_out", found)
        return found
