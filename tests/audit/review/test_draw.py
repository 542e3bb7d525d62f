"""The looser form of a detector, by which near misses are found; what verdicts hold for."""

from __future__ import annotations

from itertools import product
from string import ascii_lowercase

import pytest

from nla_ray.audit.review.draw import loosened, rule_sha256
from tests.audit.planted import detector

PAIRS = ["".join(pair) for pair in product(ascii_lowercase, repeat=2)]


def test_of_patterns_that_must_all_be_there_one_is_enough() -> None:
    words = {"any": ["lake"], "all": ["pine", "moss"], "none": ["dune"]}
    loose = loosened(detector(detection={"groups": {"words": words}, "least_share": 0.5})).detection
    assert loose is not None and loose.plain
    assert sorted(one for group in loose.groups.values() for one in group.any) == ["lake", "moss", "pine"]


def test_patterns_at_their_limits_have_a_looser_form_or_stay_as_they_are() -> None:
    half = {"any": PAIRS[:300], "all": PAIRS[300:600], "whole_words": False}
    loose = loosened(detector(detection={"groups": {"words": half}})).detection
    assert loose is not None and [len(group.any) for group in loose.groups.values()] == [300, 300]
    whole = {"all": PAIRS[:501], "whole_words": False}
    most = detector(detection={"groups": {"words": whole}})
    assert loosened(most) == most


def test_verdicts_hold_for_what_counts_as_a_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    of_patterns = detector()
    of_sql = of_patterns.model_copy(update={"detection": None, "sql": "FROM hits"})
    before = rule_sha256(of_patterns), rule_sha256(of_sql)
    monkeypatch.setattr("nla_ray.audit.review.draw.DECISIVE", ("another idea of a quotation",))
    assert rule_sha256(of_patterns) != before[0]
    assert rule_sha256(of_sql) == before[1], "SQL reads no structure"
