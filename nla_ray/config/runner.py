"""The configuration of where a job runs: in this process, or on Ray with pools of actors."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from nla_ray.config.base import Address, Config

Share = Annotated[float, Field(ge=0, le=1)]


class Pool(Config):
    """Actors that do the same, and what each of them needs."""

    actors: Annotated[int, Field(ge=1)] = 1
    """How many; each loads its models once."""
    cpus: Annotated[float, Field(ge=0)] = 1.0
    """Cores that Ray reserves for an actor; leave one core of the cluster free of actors."""
    gpus: Annotated[float, Field(ge=0)] = 0.0
    """GPUs of an actor."""
    threads: Annotated[int, Field(ge=1)] | None = None
    """Threads that torch uses in an actor; without it as many as `cpus`, at least one."""


class Pools(Config):
    """One pool per stage, for models that do not fit onto one device together."""

    extract: Pool = Pool()
    """Reads documents and runs the target."""
    verbalize: Pool = Pool()
    """Runs the verbalizer; by far the most work."""
    reconstruct: Pool = Pool()
    """Runs the reconstructor and writes the tables."""


class Runner(Config):
    """Where the stages run. It changes no row; `local` needs only the name."""

    name: Literal["local", "ray"] = "local"
    """`local`: one after the other in this process. `ray`: in actors, on this machine or on a cluster."""
    address: Address | None = None
    """Ray's head as `HOST:PORT`; `auto`: a cluster on this machine; `local`: one of this job's own.

    Without it: RAY_ADDRESS, which `ray job submit` sets, else `local`.
    """
    pool: Pool = Pool()
    """Actors that run all three models, the fastest way where they fit onto one device."""
    pools: Pools | None = None
    """Separate actors per stage; takes the place of `pool`."""
    wait_s: Annotated[float, Field(ge=0)] = 60.0
    """Seconds that a job waits where neither a node that is there nor a kind of node that the cluster's
    autoscaler knows can hold one of its actors; then it ends. For nodes that are busy, or that an autoscaler
    may start, it waits as long as it takes.
    """

    @property
    def cpus(self) -> float:
        """Cores of all actors together."""
        pools = [self.pool] if self.pools is None else [pool for _, pool in self.pools]
        return sum(pool.actors * pool.cpus for pool in pools)
