"""What a training says while it runs: JSON lines and TensorBoard in its output, and reports of progress."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter

from nla_ray.store.places.tree import Tree
from nla_ray.training.loop.learner import Metrics

LINES, BOARD = "metrics.jsonl", "tensorboard"


@dataclass(frozen=True)
class Progress:
    """Where a training is: `step` of the `steps` of a stage are taken, `before` of them earlier."""

    stage: str = ""
    """Empty before the first one."""
    step: int = 0
    steps: int = 0
    before: int = 0
    doing: str = ""
    """What takes its time between steps."""
    metrics: Metrics = field(default_factory=dict)
    """Of the last step."""
    held_out: Metrics = field(default_factory=dict)
    """What was measured just now, with the models of this step."""
    seconds_per_step: float | None = None
    tokens_per_second: float | None = None

    @property
    def seconds_left(self) -> float | None:
        """At this speed, without measurements."""
        return None if self.seconds_per_step is None else self.seconds_per_step * (self.steps - self.step)


Report = Callable[[Progress], None]


class Journal:
    """Metrics of one stage. On S3 the files are kept here and copied there by `flush`."""

    def __init__(self, tree: Tree, stage: str, newest: int | None) -> None:
        """`newest`: the step of the checkpoint that training goes on from, None for none.

        Lines of later steps are of an attempt that died, and are dropped.
        """
        self._tree, self._stage, self._newest = tree, stage, -1 if newest is None else newest
        self._folder = tree.folder or Path(tempfile.mkdtemp(prefix="nla_ray-metrics-"))
        kept = [line for line, said in _lines(tree) if said["stage"] != stage or said["step"] <= self._newest]
        # A new file: an attempt that still runs goes on writing into the old one, which nobody sees.
        tree.write(LINES, b"".join(kept))
        if tree.folder is None:
            (self._folder / LINES).write_bytes(b"".join(kept))
        self._lines = (self._folder / LINES).open("a", encoding="utf-8")
        self._board = SummaryWriter(str(self._folder / BOARD / stage), purge_step=self._newest + 1)

    def write(self, step: int, kind: str, metrics: Metrics) -> None:
        """One line: `kind` is `train` or `held_out`; `step` counts the steps that were taken."""
        said: dict[str, Any] = {
            "stage": self._stage,
            "step": step,
            "kind": kind,
            "time": round(time.time(), 3),
        }
        self._lines.write(json.dumps(said | metrics) + "\n")
        self._lines.flush()
        for name, value in metrics.items():
            self._board.add_scalar(f"{kind}/{name}", value, step)

    def flush(self) -> None:
        """Make what was written so far visible in the output."""
        self._board.flush()
        if self._tree.folder is None:
            self._tree.upload(self._folder / LINES, LINES)
            self._tree.upload(self._folder / BOARD / self._stage, f"{BOARD}/{self._stage}")

    def close(self) -> None:
        """Flush, and let go of the files."""
        try:
            self.flush()
        finally:
            self._lines.close()
            self._board.close()
            if self._tree.folder is None:
                shutil.rmtree(self._folder, ignore_errors=True)


def last_steps(tree: Tree, stage: str, name: str, steps: int = 20) -> float | None:
    """Mean of a metric over the last steps of a stage, as its journal has it; None where it has none."""
    of_stage = [said for _, said in _lines(tree) if (said["stage"], said["kind"]) == (stage, "train")]
    found = [said[name] for said in of_stage[-steps:] if name in said]
    return sum(found) / len(found) if found else None


def _lines(tree: Tree) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """The journal's lines, as they stand and as they are read; half a line, where a writer died, is none."""
    for line in (tree.read(LINES) or b"").splitlines(keepends=True):
        with suppress(ValueError):
            yield line, json.loads(line)


@dataclass
class Speed:
    """Seconds of a step and tokens of a second, over the last steps."""

    window: int = 20
    _steps: list[tuple[float, float]] = field(default_factory=list)

    def add(self, seconds: float, tokens: float) -> None:
        """Count a step."""
        self._steps = [*self._steps[-self.window + 1 :], (seconds, tokens)]

    @property
    def seconds_per_step(self) -> float | None:
        """Mean over the window."""
        return sum(seconds for seconds, _ in self._steps) / len(self._steps) if self._steps else None

    @property
    def tokens_per_second(self) -> float | None:
        """Over the window; None where no tokens were counted."""
        tokens = sum(tokens for _, tokens in self._steps)
        return tokens / sum(seconds for seconds, _ in self._steps) if tokens else None
