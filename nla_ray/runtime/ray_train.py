"""Training on Ray Train: the same ranks as in one process, started again from our checkpoints if they die."""

from __future__ import annotations

import math
import os
import re
import secrets
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import ray
import torch
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer, get_device
from ray.train.v2.api.exceptions import TrainingFailedError

from nla_ray.config.runner import Runner
from nla_ray.config.training.train import TrainConfig
from nla_ray.errors import EngineError, NlaError, UnreachableError
from nla_ray.runtime.cluster import connected, require_cluster
from nla_ray.runtime.rollouts import RemoteSampler
from nla_ray.store.places.tree import Tree
from nla_ray.training.loop.metrics import Progress, Report
from nla_ray.training.world import World

POLL_S = 0.5
RAY_FOLDER = ".ray"
_ERROR = re.compile(r"^[A-Za-z_.]*(?:Error|Exception): .*$", re.MULTILINE)
"""The line of a traceback that says what was raised."""


class RunRank(Protocol):
    """What one rank does."""

    def __call__(self, config: TrainConfig, world: World, report: Report, sampler: Any) -> None: ...


def train_on_ray(config: TrainConfig, run_rank: RunRank, report: Report) -> None:
    """Run every rank to its end.

    Raises what a rank raises, EngineError after too many restarts, UnreachableError where Ray gives up.

    Ray keeps no checkpoint of its own: what it starts again goes on from those of the output.
    """
    runner, place = config.runner, Runner(name="ray", address=config.runner.address)
    require_cluster(place, config.output)
    pool, folder = runner.rollouts, Tree(config.output).folder
    cpus = runner.workers * runner.cpus + (0.0 if pool is None else pool.actors * pool.cpus)
    report(Progress(doing="starting the workers"))
    with connected(place, cpus=cpus + 1), tempfile.TemporaryDirectory(prefix="nla_ray-") as scratch:
        board: Any = _Board.options(num_cpus=0).remote()  # type: ignore[attr-defined]
        trainer = TorchTrainer(
            _worker,
            train_loop_config={
                "config": config, "run_rank": run_rank, "board": board, "folder": str(Path.cwd()),
            },
            scaling_config=ScalingConfig(
                num_workers=runner.workers,
                use_gpu=_with_gpus(runner.gpus, runner.workers),
                resources_per_worker={"CPU": runner.cpus},
            ),
            run_config=RunConfig(
                # A name that was there before would be resumed from Ray's own state.
                name=f"nla-ray-{secrets.token_hex(4)}",
                storage_path=scratch if folder is None else str(folder / RAY_FOLDER),
                failure_config=FailureConfig(max_failures=runner.max_failures),
            ),
        )  # fmt: skip
        with _listening(board, report), _interruptible():
            try:
                trainer.fit()
            except TrainingFailedError as error:
                _raise(ray.get(board.failure.remote()))
                told = _ERROR.findall(str(error)) or [str(error)]
                said = " ".join(told[0].split())[:300]
                raise EngineError(
                    f"Ray Train gave up after {runner.max_failures} restarts: {said}; run the same command "
                    "again to go on from the last checkpoint"
                ) from None
            except ray.exceptions.RayError as error:
                said = " ".join(str(error).split())[-300:]
                raise UnreachableError(f"Ray gave up: {said}; run the same command again") from None
        _raise(ray.get(board.failure.remote()))


def _worker(settings: dict[str, Any]) -> None:
    """One rank. What it raises on purpose is told to the driver; another attempt then does nothing."""
    config, board = settings["config"], settings["board"]
    if ray.get(board.failure.remote()) is not None:
        return
    if Path(settings["folder"]).is_dir():
        # Ray moves its workers into a folder of its own, and paths may be relative.
        os.chdir(settings["folder"])
    context, runner = ray.train.get_context(), config.runner
    world = World(context.get_world_rank(), context.get_world_size(), get_device())
    torch.set_num_threads(runner.threads or max(1, math.floor(runner.cpus)))
    sampler = None if runner.rollouts is None else partial(RemoteSampler, runner.rollouts, world)
    try:
        settings["run_rank"](config, world, _Telling(board, world), sampler)
    except NlaError as error:
        ray.get(board.fail.remote(error))
        # Leaving quietly would let the other ranks wait for this one.
        raise


class _Telling:
    """Progress of the first rank for the driver, and what was measured for Ray's own views."""

    def __init__(self, board: Any, world: World) -> None:
        self._board, self._world = board, world

    def __call__(self, now: Progress) -> None:
        if self._world.first:
            self._board.tell.remote(now)
        if now.held_out:
            ray.train.report({"stage": now.stage, "step": now.step} | now.held_out)


@ray.remote
class _Board:
    """What ranks tell the driver."""

    def __init__(self) -> None:
        self._told: list[Progress] = []
        self._failure: NlaError | None = None

    def tell(self, now: Progress) -> None:
        self._told.append(now)

    def told(self) -> list[Progress]:
        """What is new since the last call."""
        told, self._told = self._told, []
        return told

    def fail(self, error: NlaError) -> None:
        self._failure = self._failure or error

    def failure(self) -> NlaError | None:
        return self._failure


@contextmanager
def _interruptible() -> Iterator[None]:
    """An interrupt ends the block as such: Ray stops its workers then, and would leave with exit code 0."""
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit:
        raise KeyboardInterrupt from None
    finally:
        if main:
            signal.signal(signal.SIGINT, handler)


@contextmanager
def _listening(board: Any, report: Report) -> Iterator[None]:
    """Reports from the ranks arrive in the driver, in a thread, until the block ends."""
    ended = threading.Event()

    def listen() -> None:
        while not ended.wait(POLL_S):
            _pass_on(board, report)

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        _pass_on(board, report)


def _pass_on(board: Any, report: Callable[[Progress], None]) -> None:
    for now in ray.get(board.told.remote()):
        report(now)


def _raise(error: NlaError | None) -> None:
    if error is not None:
        raise error


def _with_gpus(wanted: int | None, workers: int) -> bool:
    """As configured; else a GPU for each worker where the cluster has so many."""
    if wanted is not None:
        return wanted == 1
    there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return there.get("GPU", 0.0) >= workers
