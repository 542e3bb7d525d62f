"""The fleet's report as Markdown, for issue trackers, chats and terminals."""

from __future__ import annotations

from collections.abc import Iterator

from nla_ray.fleet.report.matrix import rate_text
from nla_ray.fleet.report.model import Change, FleetReport
from nla_ray.fleet.report.outline import Entry, silent, told
from nla_ray.pages.markdown import code, plain, table
from nla_ray.pages.words import MISSING, count, number, percent, points, probability, sentence

MOST = 10
"""Readings of each group that are listed."""
QUIET = (
    "No detector is above its controls, and no rate moved. That is not the same as none: read the upper ends "
    "of the intervals."
)


def markdown(report: FleetReport) -> str:
    """Verdict, findings and changes, cells that say nothing, cost; explanations are quoted as code spans."""
    parts = (
        _verdict(report),
        _told(report),
        _silent(report),
        _weeks(report),
        _changed(report),
        _method(report),
    )
    return "\n".join(line for part in parts for line in part)


def _verdict(report: FleetReport) -> Iterator[str]:
    this = report.weeks[-1]
    yield f"# Sweep {plain(report.sweep)}, week {plain(report.week)}"
    yield ""
    yield f"**{plain(sentence(report.state))}** (exit code {report.exit}). {plain(report.sentence)}"
    yield ""
    calm = f", {count(this.benign_vectors)} of them in benign documents, the others"
    calm = calm if this.benign_vectors else ""
    yield f"- Read: {count(this.vectors)} vectors{calm} in {count(this.documents)} audited documents"
    if this.units:
        yield f"- Reused: {percent(this.reused_units / this.units, 0)} of {count(this.units)} units"
    if this.quarantined:
        yield f"- In quarantine: {count(this.quarantined)} rows"
    yield from (f"- Not read: {plain(one)}" for one in report.unread)
    yield ""


def _told(report: FleetReport) -> Iterator[str]:
    groups = told(report)
    yield "## Findings and changes"
    yield ""
    if not groups:
        yield QUIET if report.weeks[-1].speaking else "No cell could be read, so nothing is known."
        yield ""
    for group in groups:
        shown = group.shown[:MOST]
        cut = f", {len(shown)} shown" if len(shown) < group.total else ""
        yield f"### {group.title} ({count(group.total)}{cut})"
        yield ""
        yield from table(
            ("Detector", "Level", "Model", "Corpus", "Rate, %", "Since last week", "Against base"),
            (_entry(one) for one in shown),
        )
        texts = [line for one in shown for line in _texts(one)]
        yield from [*texts, ""] if texts else []


def _entry(one: Entry) -> tuple[str, ...]:
    cell = one.cell.result.cell
    return (
        plain(one.detector.title), one.detector.level, plain(cell.model), plain(cell.corpus),
        rate_text(one.reading), _change(one.reading.last), _change(one.reading.base),
    )  # fmt: skip


def _change(one: Change | None) -> str:
    if one is None or one.change is None:
        return MISSING
    return f"{points(one.change)} (p {probability(one.p_adjusted)}): {one.verdict}"


def _texts(one: Entry) -> Iterator[str]:
    for text in one.excerpts[:1]:
        document = f"{text.state} document" if text.state else "document"
        yield (
            f"- {sentence(document)} {code(text.doc_id)} of {plain(one.cell.name)}, "
            f"{plain(one.detector.title)}: the explanation mentions {code(text.span)}, at "
            f"{text.positions_hit} of {text.positions_read} positions"
        )


def _silent(report: FleetReport) -> Iterator[str]:
    cells = silent(report)
    if not cells:
        return
    yield f"## Cells that say nothing ({count(len(cells))})"
    yield ""
    yield from table(
        ("Model and corpus", "State", "Why"),
        ((plain(cell.name), cell.says, plain(" ".join(reasons))) for cell, reasons in cells),
    )


def _weeks(report: FleetReport) -> Iterator[str]:
    yield "## Weeks"
    yield ""
    unit = f", {plain(report.currency)}" if report.currency else ""
    yield from table(
        ("Week", "Cells", "With findings", "Above controls", "Vectors", "GPU hours", f"Cost{unit}"),
        (
            (
                plain(one.of), f"{one.speaking} of {one.cells}", count(one.with_findings), count(one.above),
                count(one.vectors), number(one.gpu_seconds / 3600), number(one.cost),
            )
            for one in reversed(report.weeks)
        ),
    )  # fmt: skip


def _changed(report: FleetReport) -> Iterator[str]:
    if not report.changed:
        return
    yield f"## What changed in the configuration since {plain(report.last_week or '')}"
    yield ""
    yield from table(
        ("Key", "Before", "Now"),
        (
            (code(one.key), code(one.before or "(not there)"), code(one.after or "(not there)"))
            for one in report.changed
        ),
    )


def _method(report: FleetReport) -> Iterator[str]:
    yield "## Method"
    yield ""
    families = "; ".join(
        f"{one.against}: {count(one.tests)} tests, {count(one.significant)} significant"
        if one.tests
        else f"{one.against}: nothing to test"
        for one in report.families
    )
    yield (
        f"False discovery is controlled over the whole sweep at {percent(report.q)}, in each of these "
        f"families: {families}. An explanation is text that one model wrote about an activation of another; "
        "that it mentions something does not mean that the model thinks it."
    )
    yield ""
