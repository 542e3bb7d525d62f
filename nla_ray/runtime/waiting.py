"""What a job on a cluster waits for: actors that no node has room for, now or ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta

import ray
from ray._private.state import state

from nla_ray.config.runner import Pool
from nla_ray.errors import ConfigError

Say = Callable[[str | None], None]
"""Told what is waited for; None: nothing any more."""

TELL_S = 30.0
POLL_S = 1.0


def require_room(pools: Sequence[Pool], wait_s: float, say: Say) -> None:
    """Return once each pool's actor fits onto a node, or onto one that an autoscaler may start.

    Raises ConfigError where that is so for no node within `wait_s` seconds; how busy nodes are is no matter.
    """
    began = told = time.monotonic()
    while (homeless := next((pool for pool in pools if not _fits(pool)), None)) is not None:
        now = time.monotonic()
        if now - began >= wait_s:
            raise ConfigError(
                f"runner: no node can hold an actor of {_asked(homeless)}, and none came within "
                f"{wait_s:g} s; {_there()}; ask for less (runner.pool, runner.pools), add a node, or wait "
                "longer (runner.wait_s)"
            )
        if now - told >= TELL_S or now - began < POLL_S:
            told = now
            say(f"waiting for a node that can hold an actor of {_asked(homeless)}, for {_since(began)}")
        time.sleep(min(POLL_S, wait_s))
    say(None)


class Watch:
    """Says every half a minute for what actors wait, as long as none of the units comes back."""

    def __init__(self, pools: Sequence[Pool], say: Say) -> None:
        self._asked = " or ".join(sorted({_asked(pool) for pool in pools}))
        self._say, self._last, self._told = say, time.monotonic(), False

    def saw(self) -> None:
        """A unit came back."""
        self._last = time.monotonic()
        if self._told:
            self._told = False
            self._say(None)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look every half a minute, in a thread, until the block ends."""
        ended = threading.Event()

        def look() -> None:
            while not ended.wait(TELL_S):
                if time.monotonic() - self._last >= TELL_S:
                    self._look()

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _look(self) -> None:
        with suppress(ray.exceptions.RayError, ConnectionError):
            waiting, all_of_them = waiting_actors()
            if waiting:
                self._told = True
                self._say(
                    f"waiting for room for {waiting} of {all_of_them} actors of {self._asked}, "
                    f"for {_since(self._last)}; {_there()}"
                )


def waiting_actors() -> tuple[int, int]:
    """How many actors of this job have no process yet, and how many it has in all."""
    job = ray.get_runtime_context().get_job_id()
    alive = [
        one for one in state.actor_table(None).values() if one["State"] != "DEAD" and one["JobID"] == job
    ]
    return sum(not one["Pid"] for one in alive), len(alive)


def _fits(pool: Pool) -> bool:
    """Whether a node that is there, or a kind of node that an autoscaler knows, has what an actor needs."""
    config = state.get_cluster_config()
    kinds = [dict(group.resources) for group in config.node_group_configs] if config is not None else []
    needed = {"CPU": pool.cpus, "GPU": pool.gpus}
    return any(
        all(node.get(name, 0) >= amount for name, amount in needed.items()) for node in [*_nodes(), *kinds]
    )


def _nodes() -> list[Mapping[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def _asked(pool: Pool) -> str:
    return f"{pool.cpus:g} CPUs and {pool.gpus:g} GPUs"


def _there() -> str:
    """What the cluster has, in words."""
    total, free = ray.cluster_resources(), ray.available_resources()  # type: ignore[no-untyped-call]
    has = [f"{total.get(name, 0):g} {name}s, {free.get(name, 0):g} of them free" for name in ("CPU", "GPU")]
    return f"the cluster has {len(_nodes())} nodes with {' and '.join(has)}"


def _since(began: float) -> timedelta:
    return timedelta(seconds=round(time.monotonic() - began))
