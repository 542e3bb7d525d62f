"""Writing the fleet's page into the week's folder, on a local disk or on S3."""

from __future__ import annotations

from nla_ray.fleet.layout import week_prefix
from nla_ray.fleet.report.markdown import markdown
from nla_ray.fleet.report.model import FleetReport
from nla_ray.fleet.report.page import html
from nla_ray.store.places.tree import Tree

FOLDER = "report"
"""Under the week."""


def write_files(root: str, report: FleetReport) -> None:
    """Write `report.html`, `report.md` and `report.json`, each whole; the data last.

    Existing ones are replaced. Raises InputError as the place does.
    """
    place = f"{week_prefix(report.sweep, report.week)}{FOLDER}/"
    tree = Tree(root)
    for name, content in (
        ("report.html", html(report)),
        ("report.md", markdown(report)),
        ("report.json", report.json_text()),
    ):
        tree.write(place + name, content.encode())
