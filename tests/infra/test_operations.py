"""The runbook names what is there."""

from __future__ import annotations

import re
from pathlib import Path

from nla_ray.errors import Exit

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def test_every_link_and_file_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", RUNBOOK)
    assert all((ROOT / "docs" / link).exists() for link in links) and len(links) > 5
    files = re.findall(r"(?<![\w/.])infra/[\w./-]*\w", RUNBOOK)
    assert all((ROOT / name).exists() for name in files) and len(files) > 5


def test_the_images_are_those_of_the_manifests() -> None:
    tags = set(re.findall(r"--tag (\S+)", RUNBOOK))
    made = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("infra/kubernetes/**/*.yaml"))
    assert tags == set(re.findall(r"image: (?:&\w+ )?([^\s*]\S*)", made))


def test_the_exit_codes_are_those_of_the_commands() -> None:
    rows = re.findall(r"^\| (\d+) \| (.*?) \| .*? \|$", RUNBOOK, re.M)
    assert rows == [(str(one.value), one.means) for one in Exit]
