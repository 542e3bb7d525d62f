"""Stages in which certain documents do harm, in a decode that otherwise is the command."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from nla_ray.config.decode import DecodeConfig
from nla_ray.config.loading.load import load
from nla_ray.errors import NlaError
from nla_ray.pipelines.decode.planning import Decode
from nla_ray.pipelines.decode.run import decode, stages_of
from nla_ray.stages.stage import Stage
from nla_ray.stages.units.work import Task, Work, places_of
from nla_ray.store.places.objects import Store

Kind = Literal["raise", "kill", "memory", "not finite"]
OVER_THE_LIMIT = 6


@dataclass(frozen=True)
class Harm:
    """What documents do, by their ids: `raise`, `kill` their process, ask for more `memory` than there is,
    or have vectors that are `not finite`. With `once`, a file that is not there yet: they do it
    the first time only."""

    documents: Mapping[str, Kind]
    once: Path | None = None


class Harmful(Stage):
    """Another stage, and the harm that documents do in it."""

    def __init__(self, stage: Stage, harm: Harm) -> None:
        self._stage, self._harm = stage, harm
        self.name = stage.name

    def setup(self) -> None:
        """Set up the real stage."""
        self._stage.setup()

    def __call__(self, work: Task | Work) -> Any:
        """What the real stage does, if no document that is worked on stops it."""
        met = set() if isinstance(work, Task) else set(self._met(work))
        if met and self._harm.once is not None:
            if self._harm.once.exists():
                return self._stage(work)
            self._harm.once.touch()
        if "kill" in met:
            os.kill(os.getpid(), signal.SIGKILL)
        if "memory" in met:
            torch.empty(1 << 60, dtype=torch.uint8)
        if "raise" in met:
            raise RuntimeError("a document that nobody can stand")
        if "not finite" in met and self.name == "verbalize":
            _spoil(work, {doc for doc, kind in self._harm.documents.items() if kind == "not finite"})
        return self._stage(work)

    def _met(self, work: Work) -> list[Kind]:
        ids = [one.document.doc_id for at, one in enumerate(work.readings) if work.task.wants(at)]
        return [self._harm.documents[doc_id] for doc_id in ids if doc_id in self._harm.documents]


def _spoil(work: Work, documents: set[str]) -> None:
    """What the target gave for these documents is not finite."""
    for place in places_of(work.readings):
        if place.doc_id in documents:
            work.vectors[place.index] = np.nan


def decode_with(harm: Harm, config: Path, overrides: Sequence[str]) -> None:
    """Decode with harmful documents and leave the process with the exit code of the command."""

    def stages(ready: Decode, store: Store) -> Sequence[Stage]:
        extract, verbalize, score, write = stages_of(ready, store)
        return [extract, Harmful(verbalize, harm), Harmful(score, harm), write]

    settings = load(DecodeConfig, config, overrides)
    try:
        done = decode(settings, stages=stages)
        code = OVER_THE_LIMIT if done.failed_fraction > settings.max_failed_fraction else 0
    except NlaError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 (as the command does)
        code = error.exit_code
    sys.stderr.flush()
    os._exit(code)
