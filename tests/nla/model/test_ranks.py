"""A model that two processes share: the same vectors, answers and reconstructions as one process gives."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from pathlib import Path
from weakref import ref

import numpy as np
import pytest
import torch

from nla_ray.errors import CheckpointError, ConfigError, EngineError
from nla_ray.nla.engines.slots import SlotLayout
from nla_ray.nla.engines.transformers import TransformersVerbalizer
from nla_ray.nla.extraction import Extractor
from nla_ray.nla.model import ranks
from nla_ray.nla.model.backbone import load_config
from nla_ray.nla.model.ranks import check_divisible, part, spread
from nla_ray.nla.reconstruction.reconstructor import Reconstructor
from nla_ray.nla.verbalizer import Sampling
from tests.tiny import LAYER, tiny_checkpoint, tiny_nla

CPU = torch.device("cpu")
IDS, AT = [list(range(5, 25)), list(range(30, 42))], [[3, 19], [11]]
SAMPLING = Sampling(temperature=1.0, max_new_tokens=12, seed=3)


@pytest.fixture
def two() -> Iterator[int]:
    yield 2
    part()


def read(size: int, pair: tuple[Path, Path, Path]) -> tuple[np.ndarray, list[str], np.ndarray]:
    target, av, ar = pair
    extractor = spread(size, Extractor, target, [LAYER], device=CPU)
    vectors = np.concatenate([found[:, 0] for found in extractor.extract(IDS, AT)])
    verbalizer = spread(size, TransformersVerbalizer, av, layout=SlotLayout(4), device=CPU)
    said = verbalizer.generate(vectors, ["a", "b", "c"], SAMPLING, samples=2)
    reconstructor = spread(size, Reconstructor, ar, device=CPU)
    return vectors, [one.raw_text for one in said], reconstructor.reconstruct([one.raw_text for one in said])


@pytest.mark.slow
def test_two_ranks_give_what_one_gives_and_end_together(tmp_path: Path, two: int) -> None:
    for family in ("qwen2", "gemma3", "qwen3_moe"):
        pair = tiny_nla(tmp_path / family, family)
        alone, shared = read(1, pair), read(two, pair)
        np.testing.assert_allclose(shared[0], alone[0], atol=2e-5)
        assert shared[1] == alone[1]
        np.testing.assert_allclose(shared[2], alone[2], atol=1e-4)
    extractor = spread(two, Extractor, pair[0], [LAYER], device=CPU)
    with pytest.raises(Exception, match="position 99 is out of range"):
        extractor.extract(IDS, [[99], []])
    with pytest.raises(EngineError, match=r"have ended: .*InputError: document 0: position 99"):
        extractor.extract(IDS, AT)


@pytest.mark.slow
def test_a_rank_that_dies_ends_the_call(tmp_path: Path, two: int) -> None:
    target, _, _ = tiny_nla(tmp_path)
    extractor = spread(two, Extractor, target, [LAYER], device=CPU)
    (follower,) = multiprocessing.active_children()
    follower.kill()
    with pytest.raises((EngineError, RuntimeError, OSError)):
        extractor.extract(IDS, AT)


@pytest.mark.parametrize(
    ("family", "size", "problem"),
    [
        ("qwen2", 3, r"engine.ranks 3 do not divide its num_attention_heads 4; use a number that divides"),
        ("qwen2", 4, r"do not divide its num_key_value_heads 2"),
        ("gpt2", 2, r"no tensor parallel plan for gpt2; use engine.ranks 1"),
    ],
)
def test_what_cannot_be_shared_is_refused_by_name(
    tmp_path: Path, family: str, size: int, problem: str
) -> None:
    config = load_config(tiny_checkpoint(family, tmp_path))
    with pytest.raises(CheckpointError, match=problem):
        check_divisible(config, size, tmp_path)


class Weighty:
    """Something that every rank holds."""

    def __init__(self, *, device: torch.device) -> None:
        _alive.append(ref(self))

    def alive(self) -> int:
        """How many of these this rank holds; the ranks must agree."""
        held = torch.tensor(sum(one() is not None for one in _alive))
        torch.distributed.all_reduce(held)
        return int(held)


_alive: list[ref[Weighty]] = []


@pytest.mark.slow
def test_what_nobody_has_any_more_is_dropped_by_every_rank(two: int) -> None:
    first = spread(two, Weighty, device=CPU)
    second = spread(two, Weighty, device=CPU)
    assert second.alive() == 4
    del first
    assert second.alive() == 2


def test_a_rank_that_cannot_start_ends_all_at_once(two: int, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(multiprocessing.active_children())
    monkeypatch.setattr(ranks, "_follow", print)
    with pytest.raises(EngineError, match="rank 1 of 2 cannot start: its process ended"):
        spread(two, Weighty, device=CPU)
    assert set(multiprocessing.active_children()) <= before


def test_fewer_devices_than_ranks_are_refused_at_once() -> None:
    there = torch.cuda.device_count()
    with pytest.raises(ConfigError, match=rf"engine.ranks: {there + 2} .* and {there} are there"):
        spread(there + 2, Weighty, device=torch.device("cuda"))
