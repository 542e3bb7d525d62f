"""The report as one self-contained HTML page."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment

from nla_ray.audit.report import says
from nla_ray.audit.report.figures import changes_figure, fidelity_class, rate_figures
from nla_ray.audit.report.html.cover import cover
from nla_ray.audit.report.html.references import REFERENCES
from nla_ray.audit.report.model import Report
from nla_ray.audit.report.outline import headline, marked, outline, run_labels
from nla_ray.config.detectors.model import VALIDATED
from nla_ray.pages import render


def html(report: Report) -> str:
    """The page. Text of explanations, documents and configurations is shown and never interpreted."""
    return render.page(
        _templates(),
        report=report,
        headline=headline(report),
        cover=cover(report),
        says=says,
        references=REFERENCES,
        validated=VALIDATED,
        figures=rate_figures(report),
        changes=changes_figure(report),
        found=outline(report),
        labels=run_labels(report),
    )


@cache
def _templates() -> Environment:
    return render.environment(
        "nla_ray.audit.report.html",
        fidelity=fidelity_class,
        marked=marked,
        names_what=says.names_what,
        precision=says.precision_told,
        seen=says.seen_told,
    )
