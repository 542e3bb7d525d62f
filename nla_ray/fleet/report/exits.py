"""How a week ends: one exit code from all of its cells, and the words for it."""

from __future__ import annotations

from collections.abc import Iterable

from nla_ray.fleet.report.model import FleetCell, FleetReport

STATES = {
    0: "quiet",
    2: "unusable input",
    3: "not reportable",
    4: "too little evidence",
    5: "findings",
    6: "quarantine over the limit",
    7: "input missing",
    8: "try again",
    9: "over budget",
    10: "failed",
}
"""Words for the exit codes that a week can end with."""
ORDER = (8, 5, 2, 10, 9, 6, 7, 3, 4)


def fleet_exit(report: FleetReport) -> int:
    """The exit code of a week: the first of these that holds for any cell.

    8, a passing fault: running again completes the week, so nothing is final before. 5, findings of the
    policy's level: they outrank what did not work, which the page tells too. Then what somebody must mend,
    the code of a cell that failed: 2 unusable input, 10 the work itself failed, 9 over budget, 6 too much
    quarantined, 7 input missing. Then 3, an audit that is not reportable, and 4, too little evidence.
    0: every cell was read and none has findings.
    """
    return exit_of(report.cells)


def exit_of(cells: Iterable[FleetCell]) -> int:
    """See `fleet_exit`."""
    found = {_exit(cell) for cell in cells}
    unlisted = sorted(found - {0, *ORDER})
    return next((code for code in (*ORDER[:2], *unlisted, *ORDER[2:]) if code in found), 0)


def _exit(cell: FleetCell) -> int:
    """The code of one cell. What was not started is tried again."""
    says = cell.says
    if says == "not started":
        return 8
    if says in ("failed", "missing"):
        return cell.result.exit or (7 if says == "missing" else 10)
    if says in ("findings", "not reportable", "insufficient evidence"):
        return {"findings": 5, "not reportable": 3, "insufficient evidence": 4}[says]
    # Whether there are findings is a matter of the whole sweep, so the audit's own codes do not count.
    return cell.result.exit if cell.result.exit not in (3, 4, 5) else 0
