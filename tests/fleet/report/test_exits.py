"""How a week ends: one code from all cells, in a stated order."""

from __future__ import annotations

import re

import pytest

from nla_ray.fleet.report.exits import ORDER, STATES, exit_of, fleet_exit
from nla_ray.fleet.report.model import FleetCell
from tests.fleet.reports import cell, change, example, found, reading

QUIET = cell("m", "a", reading(0))
FINDINGS = cell("m", "b", found(0))
RISEN = reading(0, counted=True, last=change(0.1, "risen"))


def ended(state: str, code: int) -> FleetCell:
    return cell("m", "c", state=state, exit=code, verdict=None)


@pytest.mark.parametrize(
    ("cells", "code"),
    [
        ([QUIET], 0),
        ([QUIET, FINDINGS], 5),
        ([cell("m", "a", found(0, counted=False))], 0),
        ([QUIET, cell("m", "b", RISEN)], 5),
        ([QUIET, cell("m", "b", RISEN.model_copy(update={"counted": False}))], 0),
        ([QUIET, cell("m", "benign", verdict=None)], 0),
        ([QUIET, cell("m", "b", verdict="not reportable")], 3),
        ([QUIET, cell("m", "b", verdict="insufficient evidence")], 4),
        ([FINDINGS, cell("m", "a", verdict="not reportable")], 5),
        ([FINDINGS, ended("failed", 8)], 8),
        ([FINDINGS, ended("not started", 0)], 8),
        ([FINDINGS, ended("failed", 2)], 5),
        ([QUIET, ended("missing", 7)], 7),
        ([QUIET, ended("missing", 0)], 7),
        ([ended("missing", 7), ended("failed", 2)], 2),
        ([ended("missing", 7), ended("failed", 6)], 6),
        ([ended("failed", 0)], 10),
        ([ended("failed", 1), ended("failed", 2)], 1),
        ([ended("failed", 143)], 8),
        ([cell("m", "a", reading(0), exit=6), QUIET], 6),
        ([cell("m", "a", verdict="not reportable", exit=6), QUIET], 6),
        ([QUIET, cell("m", "calm", verdict=None, exit=6)], 6),
        # What the audit alone calls findings may be none over the sweep.
        ([cell("m", "a", reading(0), exit=5)], 0),
    ],
)
def test_the_gravest_of_all_cells(cells: list[FleetCell], code: int) -> None:
    assert exit_of(cells) == exit_of(cells[::-1]) == code


def test_every_code_has_words_and_the_docstring_states_the_order() -> None:
    assert {0, *ORDER} == set(STATES)
    assert fleet_exit(example()) == 5
    stated = re.findall(r"(?<![\w-])(\d+)(?=[, ]|: )", fleet_exit.__doc__ or "")
    assert tuple(map(int, stated)) == (*ORDER, 0)
