"""One function over many things as Ray tasks, with results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import ray

from nla_ray.errors import NlaError, UnreachableError

T = TypeVar("T")
R = TypeVar("R")

RETRIES = 3
"""Times that a task is run again whose process died."""

_AHEAD = 2
"""Tasks under way for each core of the cluster: results that wait for their turn are held by Ray."""


def ray_map(function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """See Workers.map. What is under way when nobody asks for more is cancelled."""
    cores: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    ahead = max(1, round(_AHEAD * cores.get("CPU", 1)))
    task: Any = ray.remote(num_cpus=1, max_retries=RETRIES)(_attempt)
    shared, under_way = ray.put(function), deque[Any]()
    try:
        for item in items:
            under_way.append(task.remote(shared, item))
            if len(under_way) > ahead:
                yield _result(under_way.popleft())
        while under_way:
            yield _result(under_way.popleft())
    finally:
        for ref in under_way:
            ray.cancel(ref, force=True)


def ray_once(function: Callable[[T], R], item: T, *, cpus: float, gpus: float) -> R:
    """See Workers.once."""
    task: Any = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=RETRIES)(_attempt)
    ref = task.remote(function, item)
    try:
        found: R = _result(ref)
    except BaseException:
        ray.cancel(ref, force=True)
        raise
    return found


def _attempt(function: Callable[[T], R], item: T) -> R | NlaError:
    """Our own errors are results: Ray would wrap them, and they are no reason to try again."""
    try:
        return function(item)
    except NlaError as error:
        return error


def _result(ref: Any) -> Any:
    """What a task returned. What is wrong with our own code is raised as it is."""
    try:
        found = ray.get(ref)
    except ray.exceptions.RayTaskError:
        raise
    except ray.exceptions.RayError as error:
        raise UnreachableError(
            f"Ray gave up: {' '.join(str(error).split())[:300]}; run the same command again to go on"
        ) from None
    if isinstance(found, NlaError):
        raise found
    return found
