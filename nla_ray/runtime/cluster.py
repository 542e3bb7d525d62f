"""The Ray cluster of a job: one that is named, or one of its own on this machine."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path

import ray
from ray._private.services import canonicalize_bootstrap_address
from ray._raylet import AuthenticationTokenLoader, Config, GcsClient  # type: ignore[attr-defined]
from ray.exceptions import AuthenticationError

from nla_ray.config.runner import Runner
from nla_ray.errors import ConfigError, UnreachableError

psutil = import_module("psutil")
"""Comes with Ray, which puts it where it is found."""

LOCAL = "local"
CONNECT_S = 5.0
OBJECT_STORE_BYTES = 1 << 30
_OWN = {
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""The environment of a cluster of its own, where the user did not say otherwise."""


def unsaid(_: str | None) -> None:
    """Tells nobody."""


@contextmanager
def connected(runner: Runner, *, cpus: float, say: Callable[[str | None], None] = unsaid) -> Iterator[None]:
    """A connection to Ray for the length of the block; one that is there already is used and left alone.

    A cluster of its own has `cpus` cores to give, however many the machine has, so that its actors always
    fit. Ray listens on every interface and runs what it is sent; that cluster therefore takes nothing without
    a token that only this process and its children know, and `say` is told where it listens. Raises
    ConfigError where the token is wrong, UnreachableError where no cluster answers.
    """
    if ray.is_initialized():
        yield
        return
    address = address_of(runner)
    with _own_handlers():
        _start_own(cpus) if address == LOCAL else _join(address)
    try:
        if address == LOCAL:
            places = ", ".join(listening()) or "ports that are not known"
            say(f"Ray of this job alone; it takes nothing without the job's token and listens on {places}")
        yield
    finally:
        ray.shutdown()


@contextmanager
def _own_handlers() -> Iterator[None]:
    """Signals go on to end this process as before the block: Ray's own ways print a trace and exit with 1."""
    wanted = (signal.SIGTERM, signal.SIGINT)
    handlers = {one: handler for one in wanted if callable(handler := signal.getsignal(one))}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for one, handler in handlers.items():
                signal.signal(one, handler)


def listening() -> list[str]:
    """Addresses on which the processes below this one take connections, as `ADDRESS:PORT`."""
    found = set[str]()
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            found |= {
                f"{one.laddr.ip}:{one.laddr.port}"
                for one in process.net_connections("inet")
                if one.status == psutil.CONN_LISTEN
            }
    return sorted(found)


def require_cluster(runner: Runner, output: str) -> None:
    """Raise UnreachableError where no cluster answers.

    Raise ConfigError where it refuses this job's token, or its nodes could not agree on where `output` is.
    """
    address = address_of(runner)
    if address == LOCAL or ray.is_initialized():
        return
    host, _, port = address.rpartition(":")
    if host and "://" not in address:
        try:
            socket.create_connection((host, int(port)), timeout=CONNECT_S).close()
        except (OSError, ValueError) as error:
            raise _unreachable(address, error) from None
        _require_token(address)
    if "://" not in output and not Path(output).expanduser().is_absolute():
        raise ConfigError(
            f"output: {output} is relative, and every node of the cluster at {address} has a working folder "
            "of its own; give the full path of a folder that all share, or s3://bucket/prefix"
        )


def address_of(runner: Runner) -> str:
    """Where the cluster is: as configured, else as the environment of a submitted job says, else our own."""
    return runner.address or os.environ.get("RAY_ADDRESS") or LOCAL


def _start_own(cpus: float) -> None:
    for name, value in _OWN.items():
        os.environ.setdefault(name, value)
    if "RAY_AUTH_MODE" not in os.environ:
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        # Ray read its environment when it was imported.
        Config.initialize("")
        AuthenticationTokenLoader.instance().reset_cache()
    try:
        _begin(cpus)
    except Exception as error:  # noqa: BLE001 (Ray raises no other)
        # Ray says what keeps it from starting, such as a machine that is too busy, by a bare Exception.
        raise UnreachableError(
            f"Ray does not start on this machine: {' '.join(str(error).split())[:200]}; run the same command "
            "again when the machine is less busy, or name a cluster in runner.address"
        ) from None


def _begin(cpus: float) -> None:
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
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", _OWN["RAY_BACKEND_LOG_LEVEL"])
    try:
        _require_token(canonicalize_bootstrap_address(address) or address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError) as error:
        raise _unreachable(address, error) from None


def _require_token(address: str) -> None:
    """Raise ConfigError where the cluster refuses what this process would show; ray.init names no reason."""
    try:
        with _silent():
            GcsClient(address=address)
    except AuthenticationError:
        mode = os.environ.get("RAY_AUTH_MODE", "not set")
        raise ConfigError(
            f"runner.address: the cluster at {address} refuses this job's token (RAY_AUTH_MODE is {mode}); "
            "set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH to the cluster's token"
        ) from None


@contextmanager
def _silent() -> Iterator[None]:
    """Nothing goes to stderr in the block: what Ray's own code writes there it has not been told to leave."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _unreachable(address: str, error: Exception) -> UnreachableError:
    return UnreachableError(
        f"runner.address: no Ray cluster answers at {address} ({' '.join(str(error).split())[:120]}); "
        "start one, name another, or use `local` for one of this job's own"
    )
