"""The runbook names what is there."""

from __future__ import annotations

import re
from pathlib import Path

from nla_ray.cli.audit.command import FINDINGS, INSUFFICIENT, NOT_REPORTABLE
from nla_ray.cli.decode.command import OVER_BUDGET

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
    rows = dict(re.findall(r"^\| (\d) \|.*\| (.*?) \|$", RUNBOOK, re.M))
    said = {"findings": FINDINGS, "a gate failed": NOT_REPORTABLE, "too little evidence": INSUFFICIENT}
    assert {int(code) for code, words in rows.items() if words.startswith(tuple(said))} == set(said.values())
    assert f"| {OVER_BUDGET} | committed, with more rows in quarantine" in RUNBOOK
    script = (ROOT / "infra" / "kubernetes" / "weekly" / "week.sh").read_text(encoding="utf-8")
    assert f"over_budget={OVER_BUDGET} " in script
