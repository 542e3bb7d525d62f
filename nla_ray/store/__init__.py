"""Tables on a folder or on S3: write-once units, one commit per run, verified reading with SQL."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nla_ray.store.places.address import open_store
    from nla_ray.store.runs.run import open_run
    from nla_ray.store.runs.verify import verify
    from nla_ray.store.sql.read import connect

__all__ = ["connect", "open_run", "open_store", "verify"]

_HOMES = {
    "connect": "sql.read",
    "open_run": "runs.run",
    "open_store": "places.address",
    "verify": "runs.verify",
}


def __getattr__(name: str) -> Any:
    """Each is imported when it is asked for: most processes need one of them."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
