"""The evaluation as one self-contained HTML page."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment

from nla_ray.evaluation.model import Evaluation
from nla_ray.evaluation.report import figures
from nla_ray.pages import render


def html(found: Evaluation) -> str:
    """The page. Names and configurations are shown and never interpreted."""
    return render.page(
        _templates(),
        "style.css",
        found=found,
        by_control={one.control: one for one in found.measured},
        control_axis=figures.control_axis(found),
        bucket_axis=figures.bucket_axis(found),
        edit_axis=figures.edit_axis(found),
        unit=figures.UNIT,
        histograms=figures.histograms(found.histogram_edges, found.measured),
        curve=figures.curve(found.robustness.lengths),
    )


@cache
def _templates() -> Environment:
    return render.environment("nla_ray.evaluation.report")
