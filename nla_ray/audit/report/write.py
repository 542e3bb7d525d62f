"""Writing a report: each file appears whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, get_args

from nla_ray.audit.report.markdown import markdown
from nla_ray.audit.report.model import Report
from nla_ray.audit.report.page import html
from nla_ray.audit.report.sarif import sarif
from nla_ray.pages.files import replace_file

Format = Literal["json", "html", "md", "sarif"]
FORMATS: tuple[Format, ...] = get_args(Format)
RENDERERS: dict[Format, Callable[[Report], str]] = {
    "json": Report.json_text,
    "html": html,
    "md": markdown,
    "sarif": sarif,
}


def write_report(report: Report, folder: Path, formats: Sequence[Format] = FORMATS) -> list[Path]:
    """Write `report.json`, `report.html`, `report.md`, `report.sarif` to a folder, made where it is missing.

    Existing ones are replaced. Returns the paths, in the order of `formats`. Raises OSError as the disk does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    contents = {folder / f"report.{name}": RENDERERS[name](report) for name in formats}
    for path, content in contents.items():
        replace_file(path, content.encode())
    return list(contents)
