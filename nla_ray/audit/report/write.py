"""Writing a report, to a folder or to S3: each file appears whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

from nla_ray.audit.report.html.page import html
from nla_ray.audit.report.markdown import markdown
from nla_ray.audit.report.model import Report
from nla_ray.audit.report.sarif import sarif
from nla_ray.errors import InputError
from nla_ray.store.places.tree import Tree

Format = Literal["json", "html", "md", "sarif"]
FORMATS: tuple[Format, ...] = get_args(Format)
SIGNATURE = "report.json.sig"
"""A signature over the report beside it."""
RENDERERS: dict[Format, Callable[[Report], str]] = {
    "json": Report.json_text,
    "html": html,
    "md": markdown,
    "sarif": sarif,
}


def write_report(report: Report, place: Tree, formats: Sequence[Format] = FORMATS) -> list[str]:
    """Write `report.json`, `report.html`, `report.md`, `report.sarif` to a place, made where it is missing.

    Existing ones are replaced, unless somebody signed another report there. Returns the names, in the order
    of `formats`. Raises InputError where that is so, and as the place does.
    """
    # Pages follow from what report.json holds, so that they can be checked against it.
    data = report.json_text()
    told = Report.model_validate_json(data)
    if place.read(SIGNATURE) is not None and place.read("report.json") != data.encode():
        raise InputError(
            f"{place.url}/report.json: is signed, and this is another report; write it to another output, or "
            "move that one and its signature away"
        )
    contents = {f"report.{name}": data if name == "json" else RENDERERS[name](told) for name in formats}
    for name, content in contents.items():
        place.write(name, content.encode())
    return list(contents)
