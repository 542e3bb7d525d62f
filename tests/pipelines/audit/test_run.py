"""Shipped detectors on the shipped pair: what was planted is found, nothing else; a small `audit_power`."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import audit_power as power
from nla_ray.config.detectors.packs import load_packs

PACKS = load_packs()


@pytest.fixture(scope="module")
def decoded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables of 160 documents, of 100 benign ones and of 30 with controls at every place."""
    folder = tmp_path_factory.mktemp("power")
    power.decode_all(folder, {power.MIXED: 160, power.BENIGN: 100, power.FULL: 30})
    return folder


@pytest.mark.slow
def test_planted_properties_are_found_and_only_they(decoded: Path) -> None:
    found = power.searched(decoded, power.MIXED, PACKS, power.ALL)
    scores = power.found_in(found, PACKS, "real")
    assert scores["mean"]["recall"] >= 0.85 and scores["mean"]["precision"] >= 0.95, scores
    for score in scores["properties"].values():
        assert score["verdict"] == "above controls", scores


@pytest.mark.slow
def test_benign_documents_hold_no_finding_of_a_planted_property(decoded: Path) -> None:
    found = power.benign(power.searched(decoded, power.BENIGN, PACKS, power.DEFAULT), PACKS)
    assert found["documents"] == 100 and not found["findings_by_level"], found


@pytest.mark.slow
@pytest.mark.parametrize("subject", ["shuffled", "random"])
def test_controls_in_the_place_of_real_rows_are_not_distinguishable(decoded: Path, subject: str) -> None:
    scores = power.found_in(power.searched(decoded, power.FULL, PACKS, power.ALL), PACKS, subject)
    verdicts = {score["verdict"] for score in scores["properties"].values()}
    assert verdicts <= {"not distinguishable", "insufficient evidence"}, scores


@pytest.mark.slow
def test_a_rise_between_two_weeks_is_seen_and_two_like_weeks_are_not(decoded: Path) -> None:
    found = power.searched(decoded, power.MIXED, PACKS, power.ALL)
    pool = power.pool_of(found, PACKS)
    result = power.weeks(pool, PACKS, 12, seed=5)
    assert result["power"]["value"] >= 0.6 and result["false_alarms"]["value"] <= 0.2, result
