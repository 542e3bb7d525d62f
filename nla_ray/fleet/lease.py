"""Who works on which cell, and how far: advice to other drivers, never a lock."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Annotated, Any, Self

from pydantic import AwareDatetime, Field

from nla_ray.config.base import Config, Name
from nla_ray.errors import NlaError
from nla_ray.fleet.cells import Cell
from nla_ray.fleet.layout import lease_key
from nla_ray.fleet.objects import encoded, get_object
from nla_ray.store.places.objects import Store
from nla_ray.store.places.tree import Tree

TTL_S = 120.0
"""A lease that nobody renews ends after so long."""

SKEW_S = 600.0
"""A lease that ends later than `TTL_S` from now by more than this has the time of a wrong clock."""

Count = Annotated[int, Field(ge=0)]


class Lease(Config):
    """A driver works on a cell until `expires`, as far as it knows."""

    owner: Name
    expires: AwareDatetime
    doing: str = ""
    run_id: str | None = None
    units: Count = 0
    of_units: Count = 0
    before: Count = 0
    """Units that were there when the driver began."""
    since: AwareDatetime
    """When the driver began."""
    last_unit: AwareDatetime
    """When a unit was last finished, or the driver began."""
    busy_seconds: float = 0.0
    gpu_seconds: float = 0.0
    cost: float | None = None

    def live(self, now: datetime) -> bool:
        """Whether somebody is at work. What a wrong clock wrote holds nobody up for longer than it may."""
        return now < self.expires <= now + timedelta(seconds=TTL_S + SKEW_S)


def now_utc() -> datetime:
    """The time, UTC."""
    return datetime.now(UTC)


def me() -> str:
    """This driver, as others see it."""
    return f"{socket.gethostname()}:{os.getpid()}"


def get_lease(store: Store, cell: Cell) -> Lease | None:
    """The lease of a cell, live or not; one that cannot be read counts as none, for it is only advice."""
    try:
        return get_object(store, lease_key(cell.sweep, cell.week, cell.pair), Lease)
    except NlaError:
        return None


class Leases:
    """The leases of one driver, renewed by a thread while they are held."""

    def __init__(
        self,
        store: Store,
        *,
        owner: str | None = None,
        ttl_s: float = TTL_S,
        now: Callable[[], datetime] = now_utc,
    ) -> None:
        self._store, self._tree = store, Tree(store.url)
        self._owner, self._ttl, self._now = owner or me(), timedelta(seconds=ttl_s), now
        self._held: dict[tuple[str, str], tuple[Cell, Lease]] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        for cell, _ in list(self._held.values()):
            self.release(cell)

    def take(self, cell: Cell) -> bool:
        """Begin to work on a cell; False where another driver does."""
        now, there = self._now(), get_lease(self._store, cell)
        if there is not None and there.owner != self._owner and there.live(now):
            return False
        with self._lock:
            self._held[cell.pair] = (
                cell,
                Lease(owner=self._owner, expires=now + self._ttl, since=now, last_unit=now),
            )
        self._write(cell.pair)
        return True

    def tell(self, cell: Cell, **progress: Any) -> None:
        """How far a cell is; it is written with the next renewal."""
        with self._lock:
            if cell.pair in self._held:
                held, lease = self._held[cell.pair]
                moved = (
                    {"last_unit": self._now()} if progress.get("units", lease.units) != lease.units else {}
                )
                self._held[cell.pair] = (held, lease.model_copy(update=progress | moved))

    def release(self, cell: Cell) -> None:
        """End a lease; another driver may go on at once."""
        with self._lock:
            held = self._held.get(cell.pair)
            if held is not None:
                self._held[cell.pair] = (cell, held[1].model_copy(update={"expires": self._now()}))
        self._write(cell.pair)
        with self._lock:
            self._held.pop(cell.pair, None)

    def _renew(self) -> None:
        while not self._ended.wait(self._ttl.total_seconds() / 4):
            for pair in list(self._held):
                with self._lock:
                    if pair in self._held:
                        cell, lease = self._held[pair]
                        lease = lease.model_copy(update={"expires": self._now() + self._ttl})
                        self._held[pair] = (cell, lease)
                self._write(pair)

    def _write(self, pair: tuple[str, str]) -> None:
        """A lease that cannot be written is none, and nothing depends on it."""
        with self._lock:
            held = self._held.get(pair)
        if held is not None:
            cell, lease = held
            try:
                self._tree.write(lease_key(cell.sweep, cell.week, pair), encoded(lease))
            except NlaError:
                return
