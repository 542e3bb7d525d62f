"""One model over several processes: each holds a share of its weights and follows the first call by call."""

from __future__ import annotations

import atexit
import gc
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from datetime import timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any, TypeVar, cast
from weakref import finalize

import torch
import torch.distributed
from transformers import PreTrainedConfig
from transformers.distributed.configuration_utils import DistributedConfig

from nla_ray.errors import CheckpointError, ConfigError, EngineError, NlaError
from nla_ray.nla.model.adapters.view import bottom_of

T = TypeVar("T")

_PATIENCE = timedelta(minutes=10)
"""How long a rank waits in a collective operation for one that does not come."""

_HERE = "here"
"""What another rank says first."""

_sharing: ContextVar[int] = ContextVar("ranks", default=1)
"""How many ranks load what is being loaded: 1 but for what they all are told to do."""


def shared_out(config: PreTrainedConfig, source: Path) -> dict[str, DistributedConfig]:
    """What transformers is told of a model that several ranks load together; nothing of any other.

    Raises as `check_divisible` does.
    """
    ranks = _sharing.get()
    check_divisible(config, ranks, source)
    return {"distributed_config": DistributedConfig(tp_size=ranks)} if ranks > 1 else {}


def check_divisible(config: PreTrainedConfig, ranks: int, source: Path) -> None:
    """Refuse a model that cannot be shared out: an adapter, one without plan, heads that do not divide.

    `config` is that of the text model. Raises CheckpointError.
    """
    if ranks == 1:
        return
    if bottom_of(source) != source:
        raise CheckpointError(
            f"{source}: an adapter is not shared out; merge it into its base, save that and name it, or use "
            "engine.ranks 1"
        )
    if not getattr(config, "base_model_tp_plan", None):
        raise CheckpointError(
            f"{source}: transformers has no tensor parallel plan for {config.model_type}; use engine.ranks 1"
        )
    heads = config.num_attention_heads
    named = {
        "num_attention_heads": heads,
        "num_key_value_heads": getattr(config, "num_key_value_heads", None) or heads,
        "intermediate_size": config.intermediate_size,
    }
    for name, count in named.items():
        if count % ranks:
            raise CheckpointError(
                f"{source}: engine.ranks {ranks} do not divide its {name} {count}; use a number that divides "
                f"{', '.join(f'{key} {value}' for key, value in named.items())}"
            )


def spread(ranks: int, build: Callable[..., T], *args: Any, device: torch.device, **options: Any) -> T:
    """`build(*args, device=device, **options)`, on each of so many ranks that share its models.

    What comes back stands for the first rank's object: a method runs on every rank, with arguments that can
    be pickled; what it returns, and attributes, are the first rank's. On CUDA, rank r has the device r of
    those that this process sees. Once it is collected here, the next order to the ranks lets all of them
    drop theirs. Raises what `build` raises, ConfigError for fewer devices than ranks, and EngineError where a
    rank ends.
    """
    if ranks == 1:
        return build(*args, device=device, **options)
    options["device"] = torch.device(device.type)
    return cast(T, _Stand(_ranks(ranks, device.type), build, args, options))


class _Stand:
    """In the place of an object that every rank has."""

    def __init__(
        self, ranks: _Ranks, build: Callable[..., Any], args: Sequence[Any], options: Mapping[str, Any]
    ) -> None:
        self._ranks, self._key = ranks, ranks.next_key()
        ranks.order(self._key, build, args, options)
        finalize(self, ranks.gone.append, self._key).atexit = False

    def __getattr__(self, name: str) -> Any:
        own = getattr(self._ranks.mine(self._key), name)
        if not callable(own):
            return own
        return lambda *args, **options: self._ranks.order(self._key, name, args, options)


class _Ranks:
    """This process as rank 0, and processes that it starts on this machine as the others."""

    def __init__(self, size: int, kind: str) -> None:
        self.size, self.kind, self.held = size, kind, dict[int, Any]()
        self.gone: list[int] = []
        """Objects that nobody has any more; filled whenever one is collected."""
        self._ended: str | None = None
        self._keys = itertools.count()
        # Where the ranks meet, again for every group of them that a model needs.
        self._meeting = Path(mkdtemp(prefix="nla_ray-ranks-"))
        self._pipes, self._followers = list[Connection](), list[SpawnProcess]()
        try:
            self._start()
        except BaseException as error:
            for follower in self._followers:
                follower.kill()
                follower.join()
            self._end(error)
            if isinstance(error, Exception) and not isinstance(error, NlaError):
                raise EngineError(f"{size} ranks cannot start: {self._ended}") from error
            raise

    def _start(self) -> None:
        context, store = get_context("spawn"), self._meeting / "store"
        for rank in range(1, self.size):
            ours, theirs = context.Pipe()
            given = (rank, self.size, self.kind, store, torch.get_num_threads(), theirs)
            follower = context.Process(target=_follow, args=given, daemon=True)
            follower.start()
            theirs.close()
            self._pipes.append(ours)
            self._followers.append(follower)
        # One that never comes would let the others wait for it: each says first that it is there.
        for rank, pipe in enumerate(self._pipes, start=1):
            said = _last_words(pipe, _PATIENCE.total_seconds())
            if said != _HERE:
                raise EngineError(f"rank {rank} of {self.size} cannot start: {said or 'its process ended'}")
        _take_device(0, self.kind)
        _join(0, self.size, self.kind, store)

    def next_key(self) -> int:
        """The name of the next object."""
        return next(self._keys)

    def mine(self, key: int) -> Any:
        """The object as this rank has it."""
        self._check()
        return self.held[key]

    def _check(self) -> None:
        if self._ended is not None:
            raise EngineError(f"the ranks that share the models have ended: {self._ended}")

    def order(
        self, key: int, what: Callable[..., Any] | str, args: Sequence[Any], options: Mapping[str, Any]
    ) -> Any:
        """Make an object or call a method of it, here and on every other rank."""
        self._check()
        gone = [self.gone.pop() for _ in range(len(self.gone))]
        try:
            for pipe in self._pipes:
                pipe.send((gone, key, what, args, options))
            _drop(self.held, gone)
            return _obey(self.size, self.held, key, what, args, options)
        # A rank that stopped half way through cannot be followed any more, whatever stopped it.
        except BaseException as error:
            self._end(error)
            raise

    def _end(self, error: BaseException) -> None:
        """Take leave of the others; what one of them died of takes the place of what was noticed here."""
        said = next((one for one in map(_last_words, self._pipes) if one not in (None, _HERE)), None)
        self._ended = said or f"{type(error).__name__}: {error}"
        for pipe in self._pipes:
            pipe.close()
        self.held.clear()
        _leave()
        rmtree(self._meeting, ignore_errors=True)
        _all.pop((self.size, self.kind), None)
        if said is not None and not isinstance(error, NlaError):
            raise EngineError(f"a rank of {self.size} that share the models ended: {said}") from error


_all: dict[tuple[int, str], _Ranks] = {}


def _ranks(size: int, kind: str) -> _Ranks:
    """The ranks of this process, started when they are first wanted."""
    if (size, kind) not in _all:
        if _all or torch.distributed.is_initialized():
            raise EngineError("this process is one of several ranks already; it cannot lead others as well")
        if kind == "cuda" and (there := torch.cuda.device_count()) < size:
            raise ConfigError(
                f"engine.ranks: {size} want a CUDA device each, and {there} are there; use fewer"
            )
        _all[size, kind] = _Ranks(size, kind)
    return _all[size, kind]


def _follow(rank: int, size: int, kind: str, store: Path, threads: int, pipe: Connection) -> None:
    """The whole life of another rank: it does what it is told until the first one is gone."""
    torch.set_num_threads(threads)
    held: dict[int, Any] = {}
    try:
        _take_device(rank, kind)
        pipe.send(_HERE)
        _join(rank, size, kind, store)
        while True:
            gone, *order = pipe.recv()
            _drop(held, gone)
            _obey(size, held, *order)
    except EOFError:
        pass
    # Whatever ends it is told by the first rank.
    except Exception as error:  # noqa: BLE001
        with suppress(OSError):
            pipe.send(f"rank {rank}: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
        raise SystemExit(1) from None


def _drop(held: dict[int, Any], gone: Sequence[int]) -> None:
    """Give back what objects took, before the next one comes."""
    for key in gone:
        held.pop(key, None)
    if gone:
        gc.collect()
        torch.cuda.empty_cache()


def _obey(
    size: int,
    held: dict[int, Any],
    key: int,
    what: Callable[..., Any] | str,
    args: Sequence[Any],
    options: Mapping[str, Any],
) -> Any:
    token = _sharing.set(size)
    try:
        if isinstance(what, str):
            return getattr(held[key], what)(*args, **options)
        held[key] = what(*args, **options)
        return None
    finally:
        _sharing.reset(token)


def _take_device(rank: int, kind: str) -> None:
    if kind == "cuda":
        torch.cuda.set_device(rank)


def _join(rank: int, size: int, kind: str, store: Path) -> None:
    # All ranks are on this machine: nothing listens where another could reach it.
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    os.environ.setdefault("NCCL_SOCKET_IFNAME", "lo")
    torch.distributed.init_process_group(
        "nccl" if kind == "cuda" else "gloo",
        init_method=store.as_uri(),
        rank=rank,
        world_size=size,
        timeout=_PATIENCE,
    )


def _leave() -> None:
    with suppress(RuntimeError, ValueError):
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _last_words(pipe: Connection, seconds: float = 1.0) -> str | None:
    """What a rank said before it ended, if it did, or ends within moments."""
    with suppress(OSError, EOFError):
        if pipe.poll(seconds):
            return str(pipe.recv())
    return None


@atexit.register
def part() -> None:
    """End the ranks that this process leads; what they hold is gone."""
    for ranks in list(_all.values()):
        ranks._end(SystemExit())
