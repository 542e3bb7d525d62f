"""Checkpoints: complete or absent, few and the best kept, a full disk spoils none."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import pytest
import torch

from nla_ray.errors import InputError
from nla_ray.store.places.tree import Tree
from nla_ray.training.loop.optim import Trained, adamw
from nla_ray.training.saved.checkpoint import Checkpoints
from nla_ray.training.world import World

SIZE = 64


def trained(seed: int) -> Trained:
    torch.manual_seed(seed)
    model = torch.nn.Linear(SIZE, SIZE)
    return Trained(model, adamw(model))


def move(one: Trained) -> None:
    one.model(torch.ones(1, SIZE)).sum().backward()
    one.move(rate=0.1, longest=1.0)


def opened(tmp_path: Path, keep: int = 2) -> Checkpoints:
    return Checkpoints(Tree(str(tmp_path)), "checkpoints/a", World(), keep)


def tensors(one: Trained) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in one.state_dict().items()}


def test_what_is_restored_is_what_was_when_it_was_saved(tmp_path: Path) -> None:
    one, checkpoints = trained(0), opened(tmp_path)
    move(one)
    then = tensors(one)
    checkpoints.save(1, {"model": one}, {"fve_nrm": 0.5})
    move(one)
    checkpoints.close()
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {".safetensors", ".json"}
    other, again = trained(1), opened(tmp_path)
    newest = again.newest()
    assert newest is not None and newest.step == 1 and newest.held_out == {"fve_nrm": 0.5}
    again.restore(newest, {"model": other})
    found = tensors(other)
    assert found.keys() == then.keys() and all(torch.equal(found[name], then[name]) for name in then)
    again.close()


def test_the_newest_and_the_best_are_kept(tmp_path: Path) -> None:
    one, checkpoints = trained(0), opened(tmp_path)
    for step, fve in enumerate((0.1, 0.9, 0.3, float("nan"), 0.2), 1):
        checkpoints.save(step, {"model": one}, {"fve_nrm": fve} if step != 3 else {})
    checkpoints.wait()
    assert [record.step for record in checkpoints.records()] == [2, 4, 5]
    best = checkpoints.best()
    assert best is not None and best.step == 2
    assert len([path for path in (tmp_path / "checkpoints/a").iterdir() if path.is_dir()]) == 3
    checkpoints.close()


def test_what_has_no_record_is_nothing(tmp_path: Path) -> None:
    one, checkpoints = trained(0), opened(tmp_path)
    checkpoints.save(1, {"model": one}, {})
    checkpoints.close()
    next((tmp_path / "checkpoints/a").glob("*.json")).unlink()
    again = opened(tmp_path)
    assert again.newest() is None and not list((tmp_path / "checkpoints/a").iterdir())
    again.close()


def test_a_full_disk_leaves_the_one_before(tmp_path: Path) -> None:
    one, checkpoints = trained(0), opened(tmp_path)
    move(one)
    checkpoints.save(1, {"model": one}, {})
    checkpoints.wait()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        checkpoints.save(2, {"model": one}, {})
        with pytest.raises(InputError, match="the disk is full; free some space"):
            checkpoints.wait()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    checkpoints.close()
    again: Any = opened(tmp_path)
    assert [record.step for record in again.records()] == [1]
    again.restore(again.newest(), {"model": trained(1)})
    again.close()
