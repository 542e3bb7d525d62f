"""The evaluation as one self-contained HTML page in the dress of the audit's: no network, no script."""

from __future__ import annotations

import base64
import hashlib
from functools import cache

from jinja2 import ChoiceLoader, Environment, PackageLoader

from nla_ray.audit.report import page
from nla_ray.evaluation import figures
from nla_ray.evaluation.model import Evaluation


def html(found: Evaluation) -> str:
    """The page. Names and configurations are shown and never interpreted."""
    templates = environment()
    style = templates.get_template("evaluation_style.css").render()
    made = templates.get_template("evaluation.html").render(
        found=found,
        by_control={one.control: one for one in found.measured},
        control_axis=figures.control_axis(found),
        bucket_axis=figures.bucket_axis(found),
        edit_axis=figures.edit_axis(found),
        unit=figures.UNIT,
        histograms=figures.histograms(found.histogram_edges, found.measured),
        curve=figures.curve(found.robustness.lengths),
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
    )
    return made + "\n"


@cache
def environment() -> Environment:
    """The report's environment, with the templates of this page before its own."""
    shared = page.environment()
    own = PackageLoader("nla_ray.evaluation")
    return shared.overlay(loader=ChoiceLoader([own, *([shared.loader] if shared.loader else [])]))
