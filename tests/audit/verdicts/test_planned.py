"""What a plan says an audit will see is what the audit of a silent corpus of that size says."""

from __future__ import annotations

import pytest

from nla_ray.audit.verdicts.planned import planned_rate
from nla_ray.config.audit import Evidence
from tests.audit.planted import detector

MANY = [detector(f"d{at}") for at in range(22)]
SHARES = {"shuffled": 0.1, "random": 0.1}


def test_more_documents_see_less() -> None:
    seen = [planned_rate(n, 8, SHARES, MANY, Evidence()) for n in (200, 1000, 5000)]
    assert all(one is not None for one in seen) and seen == sorted(seen, reverse=True)
    assert 0.001 < seen[-1] < seen[0] < 0.2


@pytest.mark.parametrize(
    ("documents", "positions", "shares"),
    [(50, 8, SHARES), (200, 8, {"shuffled": 0.1}), (200, 1, SHARES), (0, 8, SHARES)],
)
def test_where_an_audit_would_be_insufficient_nothing_is_said(
    documents: int, positions: int, shares: dict[str, float]
) -> None:
    assert planned_rate(documents, positions, shares, MANY, Evidence()) is None


def test_two_positions_are_enough_to_see_something() -> None:
    """Were all documents to meet the rule, all positions would: that is everywhere, and nothing to deal."""
    seen = planned_rate(1000, 2, {"shuffled": 0.2, "random": 0.2}, MANY, Evidence())
    assert seen is not None and seen < 0.05
