"""Run one stage: from its newest checkpoint to its last step, measured on the way, and back to the best."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial

from nla_ray.training.loop.learner import Learner, Metrics
from nla_ray.training.loop.metrics import Journal, Progress, Report, Speed
from nla_ray.training.saved.checkpoint import Checkpoints

MEASURING = "measuring on held-out rows"


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
        tell = partial(Progress, self.stage, steps=self.learner.steps, before=self.start)
        if self.newest is not None:
            report(tell(step=self.start, doing="reading the checkpoint"))
            self.checkpoints.restore(self.newest, self.learner.state())
        else:
            report(tell(doing=MEASURING))
            report(tell(held_out=self._measure(0, journal)))
        speed = Speed()
        for step in range(self.start, self.learner.steps):
            began, taken = time.monotonic(), step + 1
            metrics = self.learner.step(step)
            speed.add(time.monotonic() - began, metrics.get("tokens", 0.0))
            if journal is not None:
                journal.write(taken, "train", metrics)
            now = tell(
                step=taken, metrics=metrics,
                seconds_per_step=speed.seconds_per_step, tokens_per_second=speed.tokens_per_second,
            )  # fmt: skip
            report(now)
            if self._due(taken, self.every.measure):
                report(replace(now, doing=MEASURING))
                now = replace(now, held_out=self._measure(taken, journal))
                report(now)
            if self._due(taken, self.every.save):
                self.checkpoints.save(taken, self.learner.state(), now.held_out)
                if journal is not None:
                    journal.flush()
        self.checkpoints.wait()
        best = self.checkpoints.best()
        if best is None:
            raise RuntimeError("a finished stage has a checkpoint")
        if best.step != self.learner.steps or self.start == self.learner.steps:
            self.checkpoints.restore(best, self.learner.state())
        return Done(best.step, best.held_out)

    def _due(self, taken: int, every: int) -> bool:
        return taken == self.learner.steps or taken % every == 0

    def _measure(self, taken: int, journal: Journal | None) -> Metrics:
        found = self.learner.evaluate()
        if journal is not None:
            journal.write(taken, "held_out", found)
        return found
