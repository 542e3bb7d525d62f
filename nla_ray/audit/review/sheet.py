"""A sheet of what is to be judged, as CSV for a spreadsheet; `read_labels` takes it back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nla_ray.audit.review.draw import Item
from nla_ray.text import csv_line

COLUMNS = ("hit", "claim", "text", "verdict", "reviewer", "note")


def sheet(items: Iterable[Item], claims: Mapping[str, str], reviewer: str = "") -> str:
    """One line for each item; `claims` are what detectors claim, by id. Nothing tells hits from others."""
    lines = [csv_line(COLUMNS)]
    lines += [csv_line([one.hit, claims[one.detector], one.text, "", reviewer, ""]) for one in items]
    return "\r\n".join(lines) + "\r\n"
