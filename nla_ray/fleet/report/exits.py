"""How a week ends: one exit code from all of its cells, and the words for it."""

from __future__ import annotations

from collections.abc import Iterable

from nla_ray.errors import Exit
from nla_ray.fleet.report.model import FleetCell, FleetReport, Says

STATES: dict[int, str] = {
    Exit.DONE: "quiet",
    Exit.CRASH: "crashed",
    Exit.UNUSABLE: "unusable input",
    Exit.NOT_REPORTABLE: "not reportable",
    Exit.INSUFFICIENT: "too little evidence",
    Exit.FINDINGS: "findings or a rise",
    Exit.QUARANTINE: "quarantine over the limit",
    Exit.MISSING: "input missing",
    Exit.TRY_AGAIN: "try again",
    Exit.OVER_BUDGET: "over budget",
    Exit.NO: "failed",
    Exit.EVERYWHERE: "a property everywhere",
}
"""Words for the exit codes that a week can end with."""
ORDER = (
    Exit.TRY_AGAIN,
    Exit.FINDINGS,
    Exit.EVERYWHERE,
    Exit.CRASH,
    Exit.UNUSABLE,
    Exit.NO,
    Exit.OVER_BUDGET,
    Exit.QUARANTINE,
    Exit.MISSING,
    Exit.NOT_REPORTABLE,
    Exit.INSUFFICIENT,
)
"""The gravest first."""

OF_AUDITS: dict[Says, Exit] = {
    "findings": Exit.FINDINGS,
    "risen": Exit.FINDINGS,
    "everywhere": Exit.EVERYWHERE,
    "not reportable": Exit.NOT_REPORTABLE,
    "insufficient evidence": Exit.INSUFFICIENT,
}


def fleet_exit(report: FleetReport) -> Exit:
    """The exit code of a week: the first of these that holds for any cell.

    8, a passing fault: running again completes the week, so nothing is final before. 5, findings or a
    risen rate of the policy's level: they outrank what did not work, which the page tells too. 11, a property
    of such a level everywhere. Then what somebody must mend, the code of a cell that failed: 1 a fault of
    nla_ray itself, 2 unusable input, 10 the command says no, 9 over budget, 6 too much in quarantine, 7 input
    missing. Then 3, an audit that is not reportable, and 4, too little evidence. 0: every cell that is to be
    audited was read, and in none is a finding or a rise.
    """
    return exit_of(report.cells)


def exit_of(cells: Iterable[FleetCell]) -> Exit:
    """See `fleet_exit`."""
    return gravest(code for cell in cells for code in _codes(cell))


def gravest(codes: Iterable[int]) -> Exit:
    """The first of `ORDER` that is there; 0 for none."""
    found = set(codes)
    return next((code for code in ORDER if code in found), Exit.DONE)


def _codes(cell: FleetCell) -> set[int]:
    """What holds for one cell. What was not started, or was stopped by a signal, is tried again."""
    says, own = cell.says, cell.result.exit
    if says == "not started" or own >= Exit.HUNG_UP:
        return {Exit.TRY_AGAIN}
    if says in ("failed", "missing"):
        return {own or (Exit.MISSING if says == "missing" else Exit.NO)}
    # Whether there are findings is a matter of the whole sweep, so the audit's own codes do not count.
    rest = set() if own in OF_AUDITS.values() else {own}
    return rest | ({OF_AUDITS[says]} if says in OF_AUDITS else set())
