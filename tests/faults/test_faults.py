"""The short form of `make faults`: one trial of each fault that stands for a kind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.bench import Bench, bench
from tests.faults.catalogue import FAULTS
from tests.faults.judge import Verdict

pytestmark = pytest.mark.slow

SHORT = (
    "driver killed at a request",
    "driver killed while it commits",
    "driver gets SIGTERM",
    "two drivers at once",
    "lost from the tables, now and then",
    "flip from the corpus, now and then",
    "ExpiredToken from request n on",
    "lines that are no documents",
    "the raylet of a second node killed",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("faults")) as made:
        yield made


@pytest.mark.parametrize("name", SHORT)
def test_every_planned_row_is_there_once_and_as_in_a_calm_run(place: Bench, name: str) -> None:
    (fault,) = [one for one in FAULTS if one.name == name]
    found, codes = fault.run(place, seed=1)
    assert found == Verdict(found.planned, 0, 0, 0), codes
    assert found.planned > 0 and codes[-1] == 0
