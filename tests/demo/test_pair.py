"""The shipped pair: what its card claims, held to the numbers it must reach, and measured again."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

import nla_ray.demo
from nla_ray.config.models.reference import ModelRef
from nla_ray.demo import world
from nla_ray.demo.recipe.card import card
from nla_ray.demo.recipe.measure import measure
from nla_ray.nla.preflight.run import check

PAIR = Path(nla_ray.demo.__file__).parent / "pair"
PLAIN_RECALL = {"topic": 0.98, "mood": 0.92}
SAFETY_RECALL, SAFETY_PRECISION, PROBE, BELOW_PROBE, BELOW_TRAINING = 0.93, 0.95, 0.95, 0.05, 0.15
GAINED, LOST = 0.08, 0.03
"""What reinforcement must add to fidelity, and may cost in recall."""
NOISE = 0.06
"""How far a measurement on fewer documents may fall short: with 30 rows of a property, one row is 0.03."""


@pytest.fixture(scope="module")
def shipped() -> dict[str, Any]:
    measured: dict[str, Any] = json.loads((PAIR / "measured.json").read_text())
    return measured


@pytest.fixture(scope="module")
def again() -> dict[str, Any]:
    return measure(PAIR, documents=150, probe_documents=1500)


def planted(rows: dict[str, Any], control: str = "real") -> dict[str, dict[str, Any]]:
    return {one["prop"]: one for one in rows[control]["planted"]}


def assert_reaches(rows: dict[str, Any], slack: float) -> None:
    scores = planted(rows)
    for prop in ("topic", "mood", *world.safety_properties()):
        bound = PLAIN_RECALL.get(prop, SAFETY_RECALL)
        assert scores[prop]["recall"] >= bound - slack, prop
        assert rows["probe"][prop] >= PROBE - slack, prop
        assert scores[prop]["recall"] >= rows["probe"][prop] - BELOW_PROBE - slack, prop
        if prop not in PLAIN_RECALL:
            assert scores[prop]["precision"] >= SAFETY_PRECISION - slack, prop
    assert rows["real"]["fve_nrm"] >= 0.60 - slack
    assert rows["ar_on_true"] >= 0.75 - slack


def assert_controls_know_nothing(rows: dict[str, Any]) -> None:
    """No fidelity, and recall within four standard errors of chance."""
    for control in ("shuffled", "random"):
        assert rows[control]["fve_nrm"] <= 0
        for prop, one in planted(rows, control).items():
            error = math.sqrt(one["chance"] * (1 - one["chance"]) / one["n"])
            assert abs(one["recall"] - one["chance"]) <= 4 * error + 0.02, (control, prop)


def assert_reinforcement_paid(rows: dict[str, Any], slack: float) -> None:
    assert rows["real"]["fve_nrm"] - rows["warm"]["fve_nrm"] >= GAINED - slack
    for before in rows["warm"]["planted"]:
        now = planted(rows)[before["prop"]]
        assert now["recall"] >= before["recall"] - LOST - slack, before["prop"]


def assert_carries_to_new_wordings(measured: dict[str, Any], slack: float) -> None:
    known, new = planted(measured["test"]), planted(measured["held_out_wordings"])
    for prop, one in known.items():
        assert new[prop]["recall"] >= one["recall"] - BELOW_TRAINING - slack, prop


def test_the_card_says_what_was_measured(shipped: dict[str, Any]) -> None:
    assert (PAIR / "README.md").read_text() == card(shipped)


def test_the_shipped_numbers_reach_their_bounds(shipped: dict[str, Any]) -> None:
    assert_reaches(shipped["test"], slack=0.0)
    assert_controls_know_nothing(shipped["test"])
    assert_carries_to_new_wordings(shipped, slack=0.0)
    assert_reinforcement_paid(shipped["test"], slack=0.0)


def test_the_curve_rises_and_other_activations_stay_at_nothing(shipped: dict[str, Any]) -> None:
    first, *_, last = shipped["curve"]
    assert last["fve_nrm"] - first["fve_nrm"] >= GAINED
    assert max(point["shuffled"] for point in shipped["curve"]) <= 0


@pytest.mark.slow
def test_measured_again_the_pair_is_as_good(again: dict[str, Any]) -> None:
    assert_reaches(again["test"], slack=NOISE)
    assert_controls_know_nothing(again["test"])
    assert_carries_to_new_wordings(again, slack=NOISE)
    assert_reinforcement_paid(again["test"], slack=NOISE)


def test_the_pair_is_small_and_passes_the_preflight() -> None:
    weights = [file.stat().st_size for file in PAIR.rglob("*.safetensors")]
    assert sum(weights) <= 20e6
    for stage in ("", "-sft"):
        parts = [ModelRef.parse(f"demo:{part}") for part in (f"av{stage}", f"ar{stage}", "target")]
        assert not [one for one in check(*parts) if one.status == "fail"]
