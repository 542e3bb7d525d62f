"""The runner on Ray Data: units stream through pools of actors, each stage or all of them in one."""

from __future__ import annotations

import logging
import math
import os
import pickle
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, Self

import ray
import ray.data
from ray.data import ActorPoolStrategy, DataContext
from ray.util.annotations import RayDeprecationWarning

from nla_ray.config.runner import Pool
from nla_ray.config.runner import Runner as RunnerConfig
from nla_ray.errors import EngineError, NlaError, UnreachableError
from nla_ray.runtime.cluster import LOCAL, address_of, connected
from nla_ray.runtime.metrics import RunMetrics, alive
from nla_ray.runtime.progress import UNNAMED, Labels, Progress
from nla_ray.runtime.runner import DeviceLostError, Runner, attempt, set_up
from nla_ray.runtime.waiting import Watch, require_room
from nla_ray.stages.code import Code, code_of, require_code
from nla_ray.stages.stage import Chain, Stage
from nla_ray.stages.units.work import Failed, Result, Task

Batch = dict[str, Any]

BLOCKS = 10_000
"""Ray holds so many without effort; more units than that are several executions, one after the other."""

FAULT_BUDGET: dict[str, Any] = {"max_restarts": -1, "max_task_retries": 1}
"""A dead worker is started again; the unit that it held is tried once more, by whichever worker."""

DEVICE_LOST_EXIT = 70
"""Ray starts another process for the actor then; leaving by an exception would keep this one."""

SET_UP_DEATHS = 3
"""Processes that may die while they load, before the run ends: a machine may be taken away, once or twice."""


class RayRunner(Runner):
    """Executions of Ray Data in which a block is a unit, so that what is lost is known by name.

    Units that go together are one block, and lost together.
    """

    def __init__(
        self, stages: Sequence[Stage], config: RunnerConfig, labels: Labels | Mapping[str, Labels] = UNNAMED
    ) -> None:
        """`stages`: extract, verbalize, reconstruct, write; the last two share a pool where pools differ.

        `labels` are those of the metrics; by the name in `Task.run` where several runs share the runner.
        """
        self._config = config
        self._labels = {"": labels} if isinstance(labels, Labels) else dict(labels)
        self._exit = ExitStack()
        self._metrics: dict[str, RunMetrics] = {}
        if config.pools is None:
            self._pooled: list[tuple[Stage, Pool]] = [(Chain(stages), config.pool)]
        else:
            extract, verbalize, *rest = stages
            pools = config.pools
            self._pooled = [
                (extract, pools.extract), (verbalize, pools.verbalize), (Chain(rest), pools.reconstruct),
            ]  # fmt: skip

    def __enter__(self) -> Self:
        """Connect to the cluster, or start one."""
        self._exit.enter_context(connected(self._config, cpus=self._config.cpus, say=self.say))
        self._metrics = {run: RunMetrics(labels) for run, labels in self._labels.items()}
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the cluster; one of our own ends."""
        self._exit.close()

    def stream(self, tasks: Sequence[Task]) -> Iterator[Result]:
        """See Runner. Raises ConfigError where no node can hold an actor, UnreachableError if Ray ends."""
        blocks = blocks_of(tasks)
        for start in range(0, len(blocks), BLOCKS):
            yield from self._execution(blocks[start : start + BLOCKS])

    def _execution(self, blocks: Sequence[Sequence[Task]]) -> Iterator[Result]:
        _set_context()
        tasks = [task for block in blocks for task in block]
        pools = [pool for _, pool in self._pooled]
        # No node joins a cluster of the job's own.
        require_room(pools, 0.0 if address_of(self._config) == LOCAL else self._config.wait_s, self.say)
        watch = Watch(pools, self.say)
        actors = sum(min(pool.actors, len(blocks)) for pool in pools)
        runs = {task.run: self._metrics[task.run] for task in tasks}
        for run, metrics in runs.items():
            metrics.begin([task for task in tasks if task.run == run], actors)
        try:
            with watch.watching():
                for row in self._dataset(blocks).iter_rows():
                    results: list[Result] = pickle.loads(row["work"])  # noqa: S301 (our own actors made it)
                    watch.saw()
                    for result in results:
                        runs[result.task.run].saw(result)
                        yield result
        except ray.exceptions.RayError as error:
            raise UnreachableError(
                f"Ray gave up: {' '.join(str(error).split())[:300]}; run the same command again to go on"
            ) from None
        finally:
            for metrics in runs.values():
                metrics.end()

    def tell(self, now: Progress, run: str = "") -> None:
        """See Runner."""
        if run in self._metrics:  # what is told while the cluster starts, nobody measures
            self._metrics[run].tell(now)

    def _dataset(self, blocks: Sequence[Sequence[Task]]) -> ray.data.Dataset:
        """The blocks, pickled, and what is to be done with their units; nothing runs yet."""
        items = [{"work": pickle.dumps(block)} for block in blocks]
        data: ray.data.Dataset = ray.data.from_items(items, override_num_blocks=len(items))
        for stage, pool in self._pooled:
            with warnings.catch_warnings():
                # This version has no other way to say how often an actor may die.
                warnings.simplefilter("ignore", RayDeprecationWarning)
                data = data.map_batches(
                    StageActor,
                    batch_size=1,
                    fn_constructor_args=(stage, list(self._labels.values()), _threads_of(pool), code_of()),
                    compute=ActorPoolStrategy(
                        size=min(pool.actors, len(blocks)),
                        # A worker that dies takes what it holds with it: with one block, the guilty is known.
                        max_tasks_in_flight_per_actor=1,
                    ),
                    num_cpus=pool.cpus,
                    num_gpus=pool.gpus,
                    **FAULT_BUDGET,
                )
        return data


def blocks_of(tasks: Sequence[Task]) -> list[list[Task]]:
    """Units one by one, or those that go together."""
    keys = enumerate(tasks)
    grouped = groupby(keys, lambda one: (one[0], None) if one[1].together is None else one[1].together)
    return [[task for _, task in block] for _, block in grouped]


def _threads_of(pool: Pool) -> int:
    """Threads of torch in an actor."""
    return pool.threads or max(1, math.ceil(pool.cpus))


class StageActor:
    """Holds one stage; a failed set-up is told by every unit.

    A constructor that raises would end the job, and one whose process dies would be called again without end.
    """

    def __init__(self, stage: Stage, labels: Sequence[Labels], threads: int, code: Code) -> None:
        """`code` is what the driver runs; other code here must not make rows of the same run."""
        import torch

        # Ray calls in another thread than it constructs in, and OpenMP has a pool for each thread: two pools
        # on the same cores put each other to sleep at every step.
        torch.set_num_threads(1)
        self._stage, self._threads = stage, threads
        self._broken: NlaError | None = None
        try:
            require_code(code)
            actor = ray.get_runtime_context().get_actor_id()
            with outlived(stage.name, Path(tempfile.gettempdir()) / f"nla_ray-set-up-{actor}"):
                set_up(stage)
            for named in labels:
                alive(named)
        except NlaError as error:
            self._broken = error

    def __call__(self, batch: Batch) -> Batch:
        """The units of one block, pickled, to their results, pickled."""
        import torch

        torch.set_num_threads(self._threads)
        works = pickle.loads(batch["work"][0])  # noqa: S301 (made by our own driver and actors)
        try:
            return {"work": [pickle.dumps([self._result(work) for work in works])]}
        except DeviceLostError:
            os._exit(DEVICE_LOST_EXIT)

    def _result(self, work: Any) -> Any:
        if self._broken is None:
            return attempt(self._stage, work)
        task = work if isinstance(work, Task) else work.task
        return Failed(task, str(self._broken), fatal=self._broken)


@contextmanager
def outlived(name: str, mark: Path) -> Iterator[None]:
    """Count the processes of an actor that died in the block, one after the other, in the size of a file.

    Raises EngineError where they were too many.
    """
    deaths = mark.stat().st_size if mark.exists() else 0
    if deaths >= SET_UP_DEATHS:
        mark.unlink()
        raise EngineError(
            f"stage {name} cannot start: its process died {deaths} times while it loaded its models (killed, "
            "out of memory, or a fault in a library); give it more memory or a smaller model"
        )
    mark.write_bytes(b"." * (deaths + 1))
    try:
        yield
    finally:
        mark.unlink()


def _set_context() -> None:
    """Lost blocks are known by their units, so that Ray need not end the run for them."""
    context = DataContext.get_current()
    context.max_errored_blocks = -1
    context.enable_progress_bars = False
    context.execution_no_progress_timeout_s = -1  # a unit may take as long as it takes
    context.print_on_execution_start = False
    # What is logged with its traceback holds on to the actors in it, and with them their cores and GPUs.
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
