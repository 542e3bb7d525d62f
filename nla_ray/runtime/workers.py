"""One function over many things: in this process, or as tasks on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Self, TypeVar

from nla_ray.config.runner import Runner

T = TypeVar("T")
R = TypeVar("R")


class Workers:
    """What a runner's configuration names, before it runs any stage; the cluster is joined when it is needed.

    Who runs stages within the block finds it joined.
    """

    def __init__(self, config: Runner) -> None:
        self._config, self._exit, self._joined = config, ExitStack(), False

    @property
    def elsewhere(self) -> bool:
        """Whether functions run in other processes."""
        return self._config.name == "ray"

    def __enter__(self) -> Self:
        """Nothing is taken before it is needed."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the cluster."""
        self._exit.close()

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """`function` of every item, in order, as they are asked for.

        On a cluster a few more are under way than were asked for; a function is pickled, and it is tried
        again where a process dies. Raises what `function` raises first, UnreachableError where Ray gives up.
        """
        if not self.elsewhere:
            yield from map(function, items)
            return
        if not items:
            return
        from nla_ray.runtime.ray_map import ray_map

        self._join()
        yield from ray_map(function, items)

    def once(self, function: Callable[[T], R], item: T) -> R:
        """`function` of one item, where it has what an actor of the largest pool has: cores and GPUs.

        Raises what `function` raises, ConfigError where no node can hold it, UnreachableError where Ray gives
        up.
        """
        if not self.elsewhere:
            return function(item)
        from nla_ray.runtime.ray_map import ray_once
        from nla_ray.runtime.waiting import require_room

        self._join()
        pools = (
            [self._config.pool] if self._config.pools is None else [pool for _, pool in self._config.pools]
        )
        pool = max(pools, key=lambda one: (one.gpus, one.cpus))
        require_room([pool], self._config.wait_s, lambda _: None)
        return ray_once(function, item, cpus=pool.cpus, gpus=pool.gpus)

    def _join(self) -> None:
        if self._joined:
            return
        from nla_ray.runtime.cluster import connected

        self._exit.enter_context(connected(self._config, cpus=self._config.cpus))
        self._joined = True
