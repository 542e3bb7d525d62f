"""The report as Markdown for issue trackers and chats: short, with every untrusted text as literal code."""

from __future__ import annotations

from collections.abc import Iterator

from nla_ray.audit.report.evidence import Finding
from nla_ray.audit.report.figures import HEADINGS, rate_figures
from nla_ray.audit.report.model import Gate, Report
from nla_ray.audit.report.outline import Found, headline, outline, run_labels
from nla_ray.audit.report.rates import Rate, Result
from nla_ray.audit.report.says import RELIANCE, findings_told, next_step, precision_told, relied_on, seen_told
from nla_ray.pages.markdown import code, plain, table
from nla_ray.pages.words import (
    MISSING,
    count,
    decimals,
    number,
    percent,
    points,
    probability,
)

MOST = 5
"""Findings shown of each detector."""


def markdown(report: Report) -> str:
    """Verdict, gates, rates, change and the strongest findings; explanations are quoted as code spans."""
    parts = (
        _verdict(report),
        _change(report),
        _gates(report),
        _rates(report),
        _findings(report),
        _limits(report),
        _provenance(report),
    )
    return "\n".join(line for part in parts for line in part)


def _verdict(report: Report) -> Iterator[str]:
    top = headline(report)
    yield f"# {plain(report.title)}"
    yield ""
    yield f"**{plain(report.summary)}**"
    yield ""
    reasons = " ".join(plain(reason) for reason in report.reasons)
    yield f"- Can the numbers be used? {RELIANCE[report.verdict]}. {relied_on(report)} {reasons}".rstrip()
    if report.verdict != "not reportable":
        yield f"- What was found? {findings_told(report)}. A document counts once for each detector."
    yield f"- Searched: {count(top.rows)} explanations of {count(top.documents)} documents"
    for run in report.runs:
        layer = "not known" if run.layer is None else run.layer
        models = f"model {code(run.target.ref)}, layer {layer}, read by {code(run.av.ref)}"
        when = (run.finished_at or "a day not known")[:10]
        yield f"- {run.role.capitalize()}: {models}; corpus {code(run.corpus)}; read on {plain(when)}"
    yield f"- Next: {next_step(report)}"
    if report.policy:
        yield f"- Policy {code(report.policy.fail_on)}: {report.outcome}. {plain(report.policy.why)}"
    yield ""


def _gates(report: Report) -> Iterator[str]:
    yield "## Gates"
    yield ""
    yield from table(
        ("Gate", "Result", "Measured", "Required", "Why"),
        ((plain(gate.title), _passed(gate), *_measured(gate), plain(gate.why)) for gate in report.gates),
    )


def _passed(gate: Gate) -> str:
    return {True: "passed", False: "**failed**", None: "not known"}[gate.passed]


def _measured(gate: Gate) -> tuple[str, str]:
    relation = "at least" if gate.relation == ">=" else "at most"

    def written(value: float | None) -> str:
        return percent(value) if gate.unit == "share" else number(value, 0 if gate.unit == "count" else 2)

    return written(gate.value), f"{relation} {written(gate.threshold)}"


def _rates(report: Report) -> Iterator[str]:
    yield "## Rates against controls"
    yield ""
    yield (
        "Share of documents that meet the rule from so many positions, samples or rows on, with its 95 % "
        "interval. A control's is what documents would reach if their positions spoke like that control's; "
        "most control text is below the fidelity floor by construction. Raw: rows with any mention, at any "
        "fidelity; what is as frequent in random, mean or none rows is a habit of the verbalizer. Would be "
        "seen: the smallest rate, mentioned just as often as the rule asks, that would have been flagged in "
        "80 % of cases."
    )
    yield ""
    headings = dict(HEADINGS)
    labels = run_labels(report)
    for figure in rate_figures(report):
        yield f"Run {plain(labels.get(figure.run_id, figure.run_id))}:"
        yield ""
        yield from table(
            ("Detector", "Level", "Reviewed", *figure.populations, "From", "Raw", "Would be seen", "Verdict"),
            (
                (
                    plain(line.detector.title),
                    line.detector.level,
                    precision_told(line.detector) if line.detector.validated else MISSING,
                    *(_rate(line.result, name, figure.digits) for name in figure.populations),
                    MISSING if line.rates[0].least is None else str(line.rates[0].least),
                    ", ".join(
                        f"{name} {percent(share, 1)}" for name, share in line.raw.items() if share is not None
                    )
                    or MISSING,
                    percent(line.result.seen, figure.digits) if seen_told(line.result) else MISSING,
                    headings[group.verdict].lower(),
                )
                for group in figure.groups
                for line in group.lines
            ),
        )


def _rate(result: Result, population: str, digits: int) -> str:
    found = (rate for rate in result.rates if rate.population == population and rate.unit == "document")
    rate: Rate | None = next(found, None)
    if rate is None:
        return MISSING
    if rate.low is None or rate.high is None:
        return percent(rate.rate, digits)
    interval = f"{number(rate.low * 100, digits)} to {number(rate.high * 100, digits)}"
    return f"{percent(rate.rate, digits)} ({interval})"


def _change(report: Report) -> Iterator[str]:
    comparison = report.comparison
    if comparison is None:
        return
    titles = {detector.id: detector.title for detector in report.detectors}
    digits = decimals(change.change for change in comparison.changes)
    yield f"## Change from {plain(comparison.before)} to {plain(comparison.after)}"
    yield ""
    yield (
        f"Method: {plain(comparison.method)} {count(comparison.matched)} documents are in both. "
        f"Findings that appeared: {count(comparison.new)}; that disappeared: {count(comparison.gone)}."
    )
    yield ""
    yield from (
        f"- {one.what}, {code(one.before)} and {code(one.after)}: {plain(one.so)}."
        for one in comparison.differences
    )
    if comparison.differences:
        yield ""
    yield from table(
        ("Detector", "Change, points", "95 % interval", "Adjusted p", "Verdict", "Would be seen"),
        (
            (
                plain(titles.get(one.detector, one.detector)),
                points(one.change, digits),
                f"{points(one.low, digits)} to {points(one.high, digits)}",
                probability(one.p_adjusted),
                f"{one.verdict}: {plain(one.why)}" if one.why else one.verdict,
                MISSING if one.seen is None else points(one.seen, digits),
            )
            for one in comparison.changes
        ),
    )


def _findings(report: Report) -> Iterator[str]:
    yield "## Findings"
    yield ""
    found = outline(report)
    if not found.total:
        yield "No document has a finding. That is not the same as none: read the upper bounds of the rates."
        yield ""
    for level, _, ones in found.levels:
        for one in ones:
            yield from _found(level, one)
    if found.total:
        yield (
            f"All findings are in the table `findings`; `report.json` lists {count(found.listed)} of them, "
            f"and {count(len(report.findings) - found.listed)} documents with hits that are none."
        )
        yield ""


def _found(level: str, found: Found) -> Iterator[str]:
    rest = f", {MOST} shown" if found.total > MOST else ""
    yield f"### {level.capitalize()}: {plain(found.title)} ({count(found.total)}{rest})"
    yield ""
    yield from (_finding(one) for one in found.shown[:MOST])
    yield ""


def _finding(one: Finding) -> str:
    where = f"{one.positions_hit} of {one.positions_read} positions"
    marks = ["new"] if one.state == "new" else []
    marks += [f"suppressed by {plain(one.suppression.owner)}"] if one.suppression else []
    mentions = f" mentions {code(one.evidence[0].span)}" if one.evidence else ""
    return f"- {code(one.doc_id)}: the explanation{mentions}, at {', '.join([where, *marks])}"


def _limits(report: Report) -> Iterator[str]:
    yield "## What this says"
    yield ""
    yield (
        "An explanation is text that one model wrote about an activation of another. That it mentions "
        "something does not mean that the model thinks it; single details are more often wrong than right."
    )
    yield ""
    yield from (
        f"- Cannot be claimed: {plain(note.title)}. {plain(note.text)}" for note in report.cannot_claim
    )
    yield ""


def _provenance(report: Report) -> Iterator[str]:
    yield "## Provenance"
    yield ""
    yield f"- Audit {code(report.audit_id)}, nla\\_ray {plain(report.version)}"
    yield from (f"- Run {code(run.run_id)}: {plain(run.label)}" for run in report.runs)
    yield ""
