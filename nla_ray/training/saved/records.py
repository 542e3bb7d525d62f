"""Records of checkpoints: a checkpoint is complete, and exists, once its record is there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from nla_ray.store.places.tree import Tree
from nla_ray.training.loop.learner import Metrics

CHECKPOINTS = "checkpoints"
"""Where in an output they are, a folder per stage."""


@dataclass(frozen=True)
class Record:
    """A complete checkpoint: so many steps were taken; what was measured then, if anything was."""

    step: int
    folder: str
    held_out: Metrics


def records(tree: Tree, prefix: str) -> list[Record]:
    """The complete checkpoints below a prefix of a tree, oldest first."""
    names = [name for name in tree.names(prefix) if name.endswith(".json")]
    found = [json.loads(tree.read(f"{prefix}/{name}") or b"null") for name in names]
    return sorted((Record(**one) for one in found if one), key=lambda one: one.step)


def newest(tree: Tree, stages: Sequence[str]) -> tuple[str, int] | None:
    """Stage and step of the checkpoint that a training of these stages goes on from; None for none."""
    for stage in reversed(stages):
        found = records(tree, f"{CHECKPOINTS}/{stage}")
        if found:
            return stage, found[-1].step
    return None
