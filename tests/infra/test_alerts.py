"""Alert rules and dashboard: sound by Prometheus's own tool, over metrics that a run really has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from nla_ray.config.audit import Gates
from nla_ray.runtime.metrics import ALIVE, CELLS, COUNTERS, GAUGES

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "infra" / "alerts"
RULES = (ALERTS / "rules.yaml").read_text(encoding="utf-8")
DASHBOARD = (ALERTS / "dashboard.json").read_text(encoding="utf-8")
PROMTOOL = shutil.which("promtool")
EXPORTED = {f"ray_{name}" for name in (*GAUGES, ALIVE, CELLS)} | {f"ray_{name}_total" for name in COUNTERS}

needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian: prometheus)")


def promtool(folder: Path, rules: str) -> bool:
    """Whether rules are sound and pass their tests."""
    (folder / "rules.yaml").write_text(rules)
    shutil.copy(ALERTS / "rules.test.yaml", folder)
    return all(
        subprocess.run([str(PROMTOOL), *words], cwd=folder, capture_output=True, check=False).returncode == 0
        for words in (["check", "rules", "rules.yaml"], ["test", "rules", "rules.test.yaml"])
    )


def names_in(text: str) -> set[str]:
    return set(re.findall(r"\bray_nla_\w+", text))


@needs_promtool
def test_the_rules_pass_their_tests(tmp_path: Path) -> None:
    assert promtool(tmp_path, RULES)


@needs_promtool
@pytest.mark.parametrize(
    ("was", "planted"),
    [
        ("corpus) (ray_nla_units_left) > 0", "corpus (ray_nla_units_left) > 0"),
        ("> 1800", "> 60"),
        ("ray_nla_last_unit_time_seconds", "ray_nla_last_unit_seconds"),
        ("sum by (sweep, week, run", "max by (sweep, week, run"),
        ("> 0.05", "> 0.5"),
        ("> 0.1\n", ">= 0.1\n"),
        ("< 0.5", "> 0.5"),
        ('{state="failed"}', ""),
        ("for: 15m", "fur: 15m"),
        ("{{ $labels.run }}", "{{ $label.run }}"),
    ],
)  # fmt: skip
def test_a_planted_error_is_caught(tmp_path: Path, was: str, planted: str) -> None:
    assert was in RULES
    assert not promtool(tmp_path, RULES.replace(was, planted))


@needs_promtool
def test_the_queries_of_the_dashboard_are_sound(tmp_path: Path) -> None:
    panels = json.loads(DASHBOARD)["panels"]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries)]
    for more, sound in (([], True), ([{"record": "bad", "expr": "sum(ray_nla_units_left"}], False)):
        (tmp_path / "all.yaml").write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": rules + more}]}))
        checked = [str(PROMTOOL), "check", "rules", str(tmp_path / "all.yaml")]
        assert (subprocess.run(checked, capture_output=True, check=False).returncode == 0) == sound


def test_rules_and_dashboard_name_what_a_run_exports() -> None:
    assert names_in(RULES) < EXPORTED
    assert names_in(DASHBOARD) == EXPORTED


def test_limits_are_those_of_an_audit() -> None:
    limits = {
        rule["alert"]: float(rule["expr"].split()[-1]) for rule in yaml.safe_load(RULES)["groups"][0]["rules"]
        if rule["alert"] in ("NlaUnclosedShare", "NlaFidelityUnderGate")
    }  # fmt: skip
    assert limits == {"NlaUnclosedShare": Gates().unclosed, "NlaFidelityUnderGate": Gates().fidelity}


def test_every_alert_leads_into_the_runbook() -> None:
    runbook = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    anchors = {heading.lower() for heading in re.findall(r"^## (\w+)$", runbook, re.M)}
    for link in re.findall(r"runbook: (\S+)", RULES):
        name, _, anchor = link.partition("#")
        assert name == "docs/operations.md" and anchor in anchors, link
