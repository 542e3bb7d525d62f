"""What `nla-ray audit` prints: what to do, what changed, rates beside controls, what its exit code means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nla_ray.text import printable

if TYPE_CHECKING:
    from nla_ray.audit.report.model import Report
    from nla_ray.audit.report.rates import Comparison, Detector, Rate, Result
    from nla_ray.errors import Exit
    from nla_ray.pipelines.audit.run import Outcome


EXPLAINED = (
    "documents: share of those whose explanations mention it at as many positions, samples or rows as stand "
    "under the detector's name (from), with its 95 % interval; closest control: what documents would reach "
    "if they spoke like that control's positions. Both count only text above the fidelity floor, which 95 % "
    "of control rows do not reach. raw: share of rows with any mention, at any fidelity, beside that of "
    "random, mean or none rows which mention it most: what is as frequent there is a habit, and a finding "
    "only where text above the floor says so too"
)


def print_audit(outcome: Outcome, console: Console, ended: Exit) -> None:
    """The summary of an audit: what to do, whether it can be relied on, what changed and was found."""
    from nla_ray.audit.report.says import RELIANCE, findings_told, next_step

    report = outcome.report
    console.print(Text(printable(report.summary), "bold"), soft_wrap=True)
    _line(console, "subject", report.title)
    if outcome.done_before:
        _line(console, "done", "this audit was finished before; nothing was written")
    _line(console, "numbers", RELIANCE[report.verdict])
    for reason in report.reasons:
        _line(console, "  because", reason)
    if report.verdict != "not reportable":
        _line(console, "found", findings_told(report))
    _line(console, "next", next_step(report))
    if report.comparison is not None:
        print_comparison(report.comparison, console)
    for run in report.runs:
        documents = ", ".join(f"{one.name} {one.documents}" for one in run.populations)
        _line(console, f"{run.role} run", f"{run.run_id}, {run.label}; documents: {documents}")
        if run.role == "audited":
            _print_rates(report, run.run_id, console)
    _line(console, "what a row says", EXPLAINED)
    for note in report.cannot_claim:
        _line(console, "cannot claim", f"{note.title}: {note.text}")
    if report.policy is not None:
        _line(console, "policy", f"fail_on {report.policy.fail_on}: {report.outcome}. {report.policy.why}")
    _line(console, "report", outcome.output)
    _line(console, "exit code", f"{ended.value}: {ended.means}")


def _print_rates(report: Report, run_id: str, console: Console) -> None:
    console.print(rates_table(report, run_id))
    silent = [found for found in results_of(report, run_id) if not found[1].rates[0].k]
    if silent:
        names = ", ".join(detector.id for detector, _ in silent)
        bound = max(result.rates[0].high or 0.0 for _, result in silent)
        seen = [result.seen for _, result in silent]
        known = [one for one in seen if one is not None]
        least = (
            f"; {100 * max(known):.1f} %, mentioned just as often as the rule asks, would have been flagged "
            "in 80 % of cases"
            if len(known) == len(seen)
            else "; for some no rate would surely have been flagged"
        )
        told = f"at most {100 * bound:.2f} % of documents{least}: {names}"
        _line(console, "no document meets the rule", told)


def rates_table(report: Report, run_id: str) -> Table:
    """Detectors of one run with their rates by document beside that of the control which comes closest."""
    table = _detectors("documents, %", "closest control, %", "p", "findings")
    for detector, result in results_of(report, run_id):
        if result.rates[0].k:
            table.add_row(
                Text(f"{printable(detector.id)}\n{detector.level}, {result.verdict}{_from(result)}"),
                f"{_rate(result.rates[0])}\n{_raw(result, real=True)}",
                f"{_closest(result)}\n{_raw(result, real=False)}",
                _adjusted(result), str(result.findings),
            )  # fmt: skip
    return table


def results_of(report: Report, run_id: str) -> list[tuple[Detector, Result]]:
    """Detectors with their result on one run."""
    return [
        (detector, result)
        for detector in report.detectors
        for result in detector.results
        if result.run_id == run_id
    ]


def _closest(result: Result) -> str:
    controls = [rate for rate in result.rates if rate.unit == "document" and rate.population != "real"]
    judged = [rate for rate in controls if rate.verdict != "insufficient evidence"] or controls
    if not judged:
        return "-"
    closest = max(judged, key=lambda rate: rate.high or 0.0)
    return f"{closest.population} {_rate(closest)}"


def _from(result: Result) -> str:
    """From how many positions, samples or rows on a document is counted on this line."""
    least = result.rates[0].least
    return "" if least is None else f", from {least}"


def _raw(result: Result, *, real: bool) -> str:
    """The share of rows with any mention: real ones, or those of the wordiest control without a document."""
    asked = ("real",) if real else ("random", "mean", "none")
    rows = [
        rate
        for rate in result.rates
        if rate.unit == "row" and rate.rate is not None and rate.population in asked
    ]
    if not rows:
        return ""
    most = max(rows, key=lambda rate: rate.rate or 0.0)
    return f"raw {'' if real else f'{most.population} '}{100 * (most.rate or 0.0):.1f}"


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Changes of rates and of fidelity."""
    matched = (
        f"{comparison.matched} documents in both, {comparison.only_before} and {comparison.only_after} in one"
    )
    _line(console, "compared", f"{comparison.after} with {comparison.before}: {matched}")
    for unlike in comparison.differences:
        _line(console, "origin", f"{unlike.what}, {unlike.before} and {unlike.after}: {unlike.so}")
    table = _detectors("before", "after", "change in points", "p", "seen from")
    for one in (one for one in comparison.changes if one.k_before or one.k_after):
        table.add_row(
            Text(f"{printable(one.detector)}\n{one.verdict}"),
            f"{one.k_before}/{one.n_before}",
            f"{one.k_after}/{one.n_after}",
            f"{_points(one.change)}\n{_points(one.low)} to {_points(one.high)}",
            _p(one.p_adjusted),
            _points(one.seen),
        )
    console.print(table)
    silent = {one.why for one in comparison.changes if one.why}
    for why in sorted(silent):
        _line(console, "not compared", why)
    _line(console, "seen from", "the smallest rise that would have been flagged in 80 % of cases")
    _line(console, "findings", f"{comparison.new} new, {comparison.gone} gone")
    for drift in comparison.fidelity:
        if drift.change is not None and drift.low is not None and drift.high is not None:
            moved = f"{drift.change:+.3f} ({drift.low:+.3f} to {drift.high:+.3f})"
            _line(
                console,
                f"fidelity of {drift.population} rows",
                moved + (", drifted" if drift.drifted else ""),
            )


def _detectors(*columns: str) -> Table:
    """A table of detectors and numbers; in 80 columns shipped names are on one line, longer ones on two."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("detector", overflow="fold")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _rate(rate: Rate | None) -> str:
    if rate is None or rate.rate is None or rate.low is None or rate.high is None:
        return "-"
    return f"{100 * rate.rate:.1f} ({100 * rate.low:.1f}-{100 * rate.high:.1f})"


def _adjusted(result: Result) -> str:
    found = [rate.p_adjusted for rate in result.rates if rate.p_adjusted is not None]
    return _p(max(found)) if found else "-"


def _p(value: float | None) -> str:
    return "-" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _points(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:+.1f}"


def _line(console: Console, name: str, value: str) -> None:
    console.print(Text.assemble((f"{name}: ", "bold"), printable(value)), soft_wrap=True)
