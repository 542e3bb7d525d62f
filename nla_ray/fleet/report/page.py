"""The fleet's report as one self-contained HTML page."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment

from nla_ray.errors import Exit
from nla_ray.fleet.report.matrix import OPEN, matrices, overview, short
from nla_ray.fleet.report.model import FleetReport
from nla_ray.fleet.report.outline import MOST, silent, told
from nla_ray.fleet.report.trends import pictures
from nla_ray.pages import render

FIRST = 25
"""Readings of a group that are not folded away."""
FOLDED = 60
"""With more cells than this the list of all is folded away."""

TONES: dict[int, str] = {Exit.FINDINGS: "bad", Exit.NOT_REPORTABLE: "bad", Exit.DONE: "good"}
"""Of the exit codes; others are open."""


def html(report: FleetReport) -> str:
    """The page. Texts of explanations and documents are shown and never interpreted."""
    corpora = matrices(report)
    return render.page(
        _templates(),
        "style.css",
        report=report,
        tone=TONES.get(report.exit, "open"),
        this=report.weeks[-1],
        overview=overview(report) if len(corpora) > 1 else (),
        matrices=corpora,
        unfolded=len(corpora) <= OPEN,
        told=told(report),
        most=MOST,
        first=FIRST,
        folded=FOLDED,
        silent=silent(report),
        pictures=pictures(report),
        span=(report.weeks[0].of, report.weeks[-1].of),
    )


@cache
def _templates() -> Environment:
    return render.environment("nla_ray.fleet.report", short=short, hours=hours, money=money)


def hours(seconds: float) -> str:
    """GPU time in hours, in minutes where it is short."""
    return f"{seconds / 3600:,.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"


def money(cost: float | None, currency: str | None) -> str:
    """An amount; nothing where it is not known."""
    return "\u2013" if cost is None else f"{cost:,.2f} {currency or ''}".strip()
