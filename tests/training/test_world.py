"""One rank and two give the same loss curve, with DDP and with FSDP2, and read one another's checkpoints."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import distributed
from torch import multiprocessing as processes

from nla_ray.config.training.lora import Lora
from nla_ray.config.training.train import Supervised
from nla_ray.nla.model.batching import pad_right
from nla_ray.nla.reconstruction.fidelity import Baseline
from nla_ray.store.places.tree import Tree
from nla_ray.training.data import open_split
from nla_ray.training.heldout import fve_of_texts, held_out_rows
from nla_ray.training.loop.optim import Trained, adamw
from nla_ray.training.lora import Adapting, whole_state
from nla_ray.training.models import TrainableAR, load_ar, load_av
from nla_ray.training.saved.checkpoint import Checkpoints
from nla_ray.training.sft import Reading, Setting, Sft, Writing
from nla_ray.training.world import Parallel, World, plain
from tests.train_tables import write_set

NlaDirs = tuple[Path, Path, Path]
STEPS = 4
ADAPTING = Adapting(Lora(rank=4), torch.float32, seed=0)
TOLERANCE = 2e-4
"""Of a loss: two ranks add up the same float32 numbers in another order, and Adam divides small ones."""


@dataclass(frozen=True)
class Case:
    """What trains: an AV, an AR, the folder of a training set, and how (None: all weights)."""

    av: Path
    ar: Path
    data: Path
    lora: Adapting | None


def learners(case: Case, world: World, parallel: Parallel) -> dict[str, Sft]:
    setting = Setting(world, torch.float32, 0, parallel, Baseline(0.9, "a test", 9))
    options, data = Supervised(steps=STEPS, lr=1e-3, batch=8, micro_batch=2), case.data
    ar_sft, av_sft = open_split(str(data / "ar_sft"), "ar_sft"), open_split(str(data / "av_sft"), "av_sft")
    rows = held_out_rows(open_split(str(data / "held_out"), "held_out"), 7, 0)
    reading, writing = load_ar(case.ar, lora=case.lora), load_av(case.av, lora=case.lora)

    def weights(model: torch.nn.Module) -> dict[str, float]:
        return {"fve_nrm": 0.0, "sum": float(sum(t.double().sum() for t in whole_state(model).values()))}

    return {
        "ar": Sft(reading, None, Reading(reading), ar_sft, rows, options, setting),
        "av": Sft(writing, None, Writing(writing), av_sft, rows, options, setting, weights),
    }


def curves(case: Case, world: World, parallel: Parallel, out: Path) -> dict[str, list[float]]:
    """Losses of every step and what is measured at the end; a checkpoint of each model stays in `out`."""
    found = {}
    for name, learner in learners(case, world, parallel).items():
        losses = [learner.step(n)["loss"] for n in range(STEPS)]
        found[name] = [*losses, *learner.evaluate().values()]
        if name == "ar":
            found["texts"] = list(read_texts(learner, world).values())
        checkpoints = Checkpoints(Tree(str(out)), name, world, 1)
        checkpoints.save(STEPS, learner.state(), {})
        checkpoints.close()
    return found


def read_texts(learner: Sft, world: World) -> dict[str, float]:
    """Fidelity on five texts, two at once: the second rank has nothing to do in the last pass."""
    ar = plain(learner.model)
    assert isinstance(ar, TrainableAR)

    def predict(texts: list[str]) -> torch.Tensor:
        prompts = ar.prompts(texts)
        lengths = torch.tensor([len(prompt) for prompt in prompts])
        read: torch.Tensor = learner.model(pad_right(prompts, torch.device("cpu")), lengths)
        return read

    return fve_of_texts(predict, learner.held_out.first(5), learner.setting.baseline, 2, world)


def rank_of_two(rank: int, case: Case, out: Path, parallel: Parallel) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{out}/group", rank=rank, world_size=2)
    found = curves(case, World(rank, 2), parallel, out)
    Path(out, f"curves-{rank}.json").write_text(json.dumps(found))
    distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("lora", [None, ADAPTING], ids=["all weights", "adapters"])
def test_two_ranks_are_one(
    lora: Adapting | None, tmp_path: Path, nla: Callable[[str], NlaDirs], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NLA_RAY_CACHE", str(tmp_path / "cache"))
    _, av, ar = nla("qwen2")
    case = Case(av, ar, write_set(tmp_path / "set"), lora)
    alone = curves(case, World(), "ddp", tmp_path / "alone")
    ways: tuple[Parallel, ...] = ("ddp", "fsdp2")
    for parallel in ways:
        out = tmp_path / parallel
        out.mkdir()
        processes.spawn(rank_of_two, (case, out, parallel), 2)
        first, second = (json.loads((out / f"curves-{rank}.json").read_text()) for rank in range(2))
        assert first == second
        for name, curve in alone.items():
            assert first[name] == pytest.approx(curve, abs=TOLERANCE, rel=TOLERANCE)
        for name, learner in learners(case, World(), "ddp").items():
            checkpoints = Checkpoints(Tree(str(out)), name, World(), 1)
            newest = checkpoints.newest()
            assert newest is not None
            checkpoints.restore(newest, learner.state())
            assert list(learner.evaluate().values()) == pytest.approx(
                alone[name][STEPS:], abs=TOLERANCE, rel=TOLERANCE
            )
            checkpoints.close()


def rank_whose_peer_dies(rank: int, out: Path) -> None:
    distributed.init_process_group("gloo", f"file://{out}/group", rank=rank, world_size=2)
    world, model = World(rank, 2), torch.nn.Linear(2, 2)
    checkpoints = Checkpoints(Tree(str(out)), "a", world, 1)
    if rank:
        world.total(torch.zeros(()))
        os._exit(0)
    checkpoints.save(1, {"model": Trained(model, adamw(model))}, {})
    with pytest.raises(RuntimeError, match="another worker died"):
        checkpoints.wait()
    (out / "told").touch()
    os._exit(0)


@pytest.mark.slow
def test_a_worker_that_dies_is_no_fault_of_the_checkpoint(tmp_path: Path) -> None:
    both = processes.start_processes(
        rank_whose_peer_dies, (tmp_path,), nprocs=2, join=False, start_method="spawn"
    )
    for one in both.processes:
        one.join(60)
    assert (tmp_path / "told").exists() and not list((tmp_path / "a").glob("*.json"))
