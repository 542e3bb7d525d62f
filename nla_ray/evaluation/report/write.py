"""Writing an evaluation: data, and a page made from the data alone."""

from __future__ import annotations

from nla_ray.evaluation.model import Evaluation
from nla_ray.evaluation.report.page import html
from nla_ray.store.places.tree import Tree

JSON, HTML = "evaluation.json", "evaluation.html"


def write_evaluation(evaluation: Evaluation, place: Tree) -> None:
    """Write both files, each whole or not at all. Raises InputError where the place cannot be written to."""
    place.write(JSON, evaluation.json_text().encode())
    place.write(HTML, html(evaluation).encode())
