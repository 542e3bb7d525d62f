"""What a training says while it runs: JSON lines and TensorBoard in its output, and reports of progress."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter

from nla_ray.store.tree import Tree
from nla_ray.training.learner import Metrics

LINES, BOARD = "metrics.jsonl", "tensorboard"


@dataclass(frozen=True)
class Progress:
    """Where a stage is: `step` of `steps` are taken, and how fast they are."""

    stage: str
    step: int
    steps: int
    metrics: Metrics
    held_out: Metrics
    """What was measured last."""
    seconds_per_step: float | None = None
    tokens_per_second: float | None = None

    @property
    def seconds_left(self) -> float | None:
        """At this speed, without measurements."""
        return None if self.seconds_per_step is None else self.seconds_per_step * (self.steps - self.step)


Report = Callable[[Progress], None]


class Journal:
    """Metrics of one stage. On S3 the files are kept here and copied there by `flush`."""

    def __init__(self, tree: Tree, stage: str, start: int) -> None:
        """`start`: steps that are taken; lines of later ones are of an attempt that died, and are dropped."""
        self._tree, self._stage = tree, stage
        self._folder = tree.folder or Path(tempfile.mkdtemp(prefix="nla_ray-metrics-"))
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lines = self._folder / LINES
        kept = [line for line in (tree.read(LINES) or b"").splitlines() if self._stays(line, start)]
        self._lines.write_bytes(b"".join(line + b"\n" for line in kept))
        self._board = SummaryWriter(str(self._folder / BOARD / stage), purge_step=start)

    def write(self, step: int, kind: str, metrics: Metrics) -> None:
        """One line: `kind` is `train` or `held_out`; `step` counts the steps that were taken."""
        said: dict[str, Any] = {
            "stage": self._stage,
            "step": step,
            "kind": kind,
            "time": round(time.time(), 3),
        }
        with self._lines.open("a", encoding="utf-8") as file:
            file.write(json.dumps(said | metrics) + "\n")
        for name, value in metrics.items():
            self._board.add_scalar(f"{kind}/{name}", value, step)

    def flush(self) -> None:
        """Make what was written so far visible in the output."""
        self._board.flush()
        if self._tree.folder is None:
            self._tree.upload(self._lines, LINES)
            self._tree.upload(self._folder / BOARD / self._stage, f"{BOARD}/{self._stage}")

    def close(self) -> None:
        """Flush, and let go of the files."""
        self.flush()
        self._board.close()
        if self._tree.folder is None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _stays(self, line: bytes, start: int) -> bool:
        try:
            said = json.loads(line)
        except ValueError:
            return False
        return bool(said["stage"] != self._stage or said["step"] <= start)


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
