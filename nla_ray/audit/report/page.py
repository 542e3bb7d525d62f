"""The report as one self-contained HTML page: no network, no script, nothing from a table takes effect."""

from __future__ import annotations

import base64
import hashlib
from functools import cache, partial

from jinja2 import Environment, PackageLoader, StrictUndefined

from nla_ray.audit.report import words
from nla_ray.audit.report.figures import changes_figure, fidelity_class, rate_figures
from nla_ray.audit.report.model import Report
from nla_ray.audit.report.outline import headline, marked, outline, run_labels
from nla_ray.audit.report.words import QUOTE


def html(report: Report) -> str:
    """The page. Text of explanations, documents and configurations is shown and never interpreted."""
    templates = environment()
    style = templates.get_template("style.css").render()
    page = templates.get_template("page.html").render(
        report=report,
        headline=headline(report),
        figures=rate_figures(report),
        changes=changes_figure(report),
        found=outline(report),
        labels=run_labels(report),
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
    )
    return page + "\n"


@cache
def environment() -> Environment:
    """Templates of this folder; every value is escaped, and made visible before that.

    Another page takes it with `overlay(loader=...)`.
    """
    made = Environment(
        loader=PackageLoader("nla_ray.audit.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "percent": words.percent,
        "points": words.points,
        "number": words.number,
        "probability": words.probability,
        "count": words.count,
        "part": words.part,
        "sentence": words.sentence,
        "fidelity": fidelity_class,
        "marked": marked,
        "cut": partial(words.clipped, most=QUOTE),
    }
    return made


def _visible(value: object) -> object:
    """Text with its invisible characters written out; numbers and the templates' own markup stay."""
    return words.shown(value) if isinstance(value, str) and not hasattr(value, "__html__") else value
