"""What the loop drives: anything that can take a step, be measured, and be saved."""

from __future__ import annotations

from typing import Any, Protocol

FVE = "fve_nrm"
"""The metric of `Learner.evaluate` by which the best checkpoint is chosen."""

Metrics = dict[str, float]


class Learner(Protocol):
    """One stage of training, on every rank the same. Step n is a function of the state and n alone."""

    steps: int
    """How many steps the stage has: `step(0)` .. `step(steps - 1)`."""

    def step(self, n: int) -> Metrics:
        """One optimiser step; metrics are the same on all ranks. A key `tokens` is counted for the speed.

        Raises NlaError to end the training.
        """
        ...

    def evaluate(self) -> Metrics:
        """Metrics on held-out data, always with `fve_nrm`; it changes no state. All ranks call it."""
        ...

    def state(self) -> dict[str, Any]:
        """Stateful objects for torch.distributed.checkpoint: models and optimisers."""
        ...
