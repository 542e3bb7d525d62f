"""The journal of a stage: every step once, however often a training was started."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nla_ray.store.places.tree import Tree
from nla_ray.training.loop.metrics import LINES, Journal, last_steps


def written(tree: Tree) -> list[tuple[str, int, str]]:
    lines = (tree.read(LINES) or b"").splitlines()
    return [(said["stage"], said["step"], said["kind"]) for said in map(json.loads, lines)]


def attempt(tree: Tree, newest: int | None, steps: range) -> Journal:
    """The journal of an attempt that came as far as these steps."""
    journal = Journal(tree, "b", newest)
    if newest is None:
        journal.write(0, "held_out", {"fve_nrm": 0.0})
    for step in steps:
        journal.write(step, "train", {"loss": 1.0 / step})
    return journal


def test_what_came_after_the_checkpoint_is_dropped(tmp_path: Path) -> None:
    tree = Tree(str(tmp_path))
    other = Journal(tree, "a", None)
    other.write(7, "train", {"loss": 1.0})
    other.close()
    attempt(tree, None, range(1, 3)).close()
    attempt(tree, None, range(1, 5)).close()
    with (tmp_path / LINES).open("a") as file:
        file.write('{"stage": "b", "st')
    attempt(tree, 3, range(4, 6)).close()
    steps = [("b", step, "train") for step in range(1, 6)]
    assert written(tree) == [("a", 7, "train"), ("b", 0, "held_out"), *steps]


def test_an_older_attempt_that_still_runs_does_not_write_between(tmp_path: Path) -> None:
    tree = Tree(str(tmp_path))
    older = attempt(tree, None, range(1, 4))
    newer = attempt(tree, 2, range(3, 4))
    older.write(4, "train", {"loss": 9.0})
    newer.write(4, "train", {"loss": 1.0})
    older.close()
    newer.close()
    assert [step for _, step, _ in written(tree)] == [0, 1, 2, 3, 4]


def test_the_mean_of_the_last_steps(tmp_path: Path) -> None:
    tree = Tree(str(tmp_path))
    attempt(tree, None, range(1, 5)).close()
    assert last_steps(tree, "b", "loss", 2) == pytest.approx((1 / 3 + 1 / 4) / 2)
    assert last_steps(tree, "b", "ratio") is None and last_steps(tree, "c", "loss") is None
