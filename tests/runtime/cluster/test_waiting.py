"""A job that a cluster has no room for: it says for what it waits, and ends where that can never come."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from nla_ray.config.runner import Pool
from nla_ray.errors import ConfigError
from nla_ray.pipelines.decode.run import decode
from nla_ray.runtime import waiting
from nla_ray.runtime.waiting import Watch, require_room, waiting_actors
from tests.runtime.conftest import Make


def unheard(_: str | None) -> None:
    """Nobody listens."""


@pytest.mark.slow
def test_what_no_node_can_give_ends_the_job(make: Make, ray_cluster: None) -> None:
    config = make("fused")
    pool = config.runner.pool.model_copy(update={"gpus": 1.0})
    config = config.model_copy(update={"runner": config.runner.model_copy(update={"pool": pool})})
    began = time.monotonic()
    with pytest.raises(
        ConfigError, match=r"no node can hold an actor of 1 CPUs and 1 GPUs.* 0 GPUs"
    ) as ended:
        decode(config)
    assert "runner.wait_s" in str(ended.value) and "\n" not in str(ended.value)
    # Nothing can join a cluster of the job's own.
    assert time.monotonic() - began < config.runner.wait_s


@pytest.mark.slow
def test_a_node_may_still_come(ray_cluster: None) -> None:
    told = list[str | None]()
    began = time.monotonic()
    with pytest.raises(ConfigError, match=r"none came within 1\.5 s"):
        require_room([Pool(gpus=1.0)], 1.5, told.append)
    assert time.monotonic() - began >= 1.5
    assert told == ["waiting for a node that can hold an actor of 1 CPUs and 1 GPUs, for 0:00:00"]


@pytest.mark.slow
def test_nodes_that_are_only_busy_are_room_enough(ray_cluster: None) -> None:
    import ray

    cpus = ray.cluster_resources()["CPU"]
    with held(cpus):
        require_room([Pool(cpus=cpus)], 0.0, unheard)
        with pytest.raises(ConfigError):
            require_room([Pool(cpus=1), Pool(cpus=cpus + 1)], 0.0, unheard)


@pytest.mark.slow
def test_actors_without_a_place_are_told_until_a_unit_comes_back(
    ray_cluster: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    monkeypatch.setattr(waiting, "TELL_S", 0.2)
    cpus, told = ray.cluster_resources()["CPU"], list[str | None]()
    watch = Watch([Pool(cpus=cpus)], told.append)
    before = waiting_actors()[0]
    with held(cpus), held(cpus, ready=False), watch.watching():
        assert waiting_actors()[0] == before + 1
        end = time.monotonic() + 30
        while not told and time.monotonic() < end:
            time.sleep(0.05)
        watch.saw()
    assert told[0] is not None and told[-1] is None
    assert f"waiting for room for {before + 1} of " in told[0]
    assert f" actors of {cpus:g} CPUs and 0 GPUs, for 0:00:" in told[0]
    assert "0 of them free" in told[0]


@contextmanager
def held(cpus: float, *, ready: bool = True) -> Iterator[None]:
    """An actor holds cores, or waits for them, for the length of the block."""
    import ray

    class Holder:
        def here(self) -> None:
            """It is there."""

    actor = ray.remote(num_cpus=cpus)(Holder).remote()
    if ready:
        ray.get(actor.here.remote())
    try:
        yield
    finally:
        ray.kill(actor)
