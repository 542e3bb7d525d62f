"""Fixtures shared by the whole suite, made once per session: tiny checkpoints, a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import torch

from tests.tiny import tiny_checkpoint, tiny_nla

NlaDirs = tuple[Path, Path, Path]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chat endpoints are asked again at once."""
    monkeypatch.setattr("nla_ray.chat.client.FIRST_PAUSE_S", 0.001)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`checkpoint(family)`: directory of a tiny causal LM, read only: to change it, copy it first."""
    return cache(lambda family: tiny_checkpoint(family, tmp_path_factory.mktemp(family)))


@pytest.fixture(scope="session")
def nla(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], NlaDirs]:
    """`nla(family)`: (target, AV, AR) directories of a tiny NLA. Read only, like `checkpoint`."""
    return cache(lambda family: tiny_nla(tmp_path_factory.mktemp(f"nla-{family}"), family))


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """A connection to a Ray cluster of this session's own, which jobs that are run in this process use."""
    from nla_ray.config.runner import Runner
    from nla_ray.runtime.cluster import connected

    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("RAY_ADDRESS", raising=False)
        with connected(Runner(name="ray", address="local"), cpus=1):
            yield
