"""The Ray cluster of a job: one that is named, or one of its own on this machine."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from nla_ray.config.runner import Runner
from nla_ray.errors import ConfigError

CONNECT_S = 5.0
OBJECT_STORE_BYTES = 1 << 30
_OWN = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""The environment of a cluster of its own, where the user did not say otherwise."""


@contextmanager
def connected(runner: Runner, *, cpus: float) -> Iterator[None]:
    """A connection to Ray for the length of the block; one that is there already is used and left alone.

    A cluster of its own listens on the loopback interface only and has `cpus` cores to give, however many the
    machine has, so that its actors always fit. Raises ConfigError where no cluster answers.
    """
    if ray.is_initialized():
        yield
        return
    address = runner.address or os.environ.get("RAY_ADDRESS") or "local"
    _start_own(cpus) if address == "local" else _join(address)
    try:
        yield
    finally:
        ray.shutdown()


def _start_own(cpus: float) -> None:
    for name, value in _OWN.items():
        os.environ.setdefault(name, value)
    ray.init(
        address="local",
        num_cpus=max(os.cpu_count() or 1, int(cpus) + 1),
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        log_to_driver=False,
        logging_level=logging.ERROR,
        _node_ip_address="127.0.0.1",
    )


def _join(address: str) -> None:
    host, _, port = address.rpartition(":")
    try:
        if host and "://" not in address:
            socket.create_connection((host, int(port)), timeout=CONNECT_S).close()
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"runner.address: no Ray cluster answers at {address} ({' '.join(str(error).split())[:120]}); "
            "start one, name another, or use `local` for one of this job's own"
        ) from None
