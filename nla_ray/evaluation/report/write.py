"""Writing an evaluation: data, and a page made from the data alone."""

from __future__ import annotations

from pathlib import Path

from nla_ray.errors import InputError
from nla_ray.evaluation.model import Evaluation
from nla_ray.evaluation.report.page import html
from nla_ray.pages.files import replace_file

JSON, HTML = "evaluation.json", "evaluation.html"


def write_evaluation(evaluation: Evaluation, folder: Path) -> None:
    """Write both files, each whole or not at all. Raises InputError where the folder cannot be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / JSON, evaluation.json_text().encode())
        replace_file(folder / HTML, html(evaluation).encode())
    except OSError as error:
        raise InputError(f"output: cannot write into {folder}: {error.strerror or error}") from None
