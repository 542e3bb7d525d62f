"""Krippendorff's alpha against his own worked examples, and its interval against a known truth."""

from __future__ import annotations

import numpy as np
import pytest

from nla_ray.audit.review.agreement import FEWEST_ITEMS, Agreement, agreement


def by_item(*reviewers: str) -> list[str]:
    """Verdicts of each item from each reviewer's line; a dot is none."""
    return ["".join(column).replace(".", "") for column in zip(*reviewers, strict=True)]


@pytest.mark.parametrize(
    ("reviewers", "alpha", "items", "verdicts"),
    [
        (("0100000010", "1110010000"), 0.095, 10, 20),
        (("aabbdcccedda", "babbbccceddd"), 0.692, 12, 24),
        (("123321412...", "1233224125.3", ".3332342251.", "12332441251."), 0.743, 11, 40),
    ],
)
def test_the_examples_of_krippendorff_2011(
    reviewers: tuple[str, ...], alpha: float, items: int, verdicts: int
) -> None:
    found = agreement(by_item(*reviewers))
    assert found.alpha == pytest.approx(alpha, abs=0.0005)
    assert (found.items, found.verdicts) == (items, verdicts)
    assert found.interval is None, "too few items"


def test_full_agreement_is_one_and_full_disagreement_below_chance() -> None:
    assert agreement(["aa", "bb"] * 20).alpha == 1.0
    opposed = agreement(["ab"] * 40).alpha
    assert opposed is not None and opposed < 0


@pytest.mark.parametrize("items", [[], ["a", "b", ""], ["aa"] * 40])
def test_without_pairs_or_contrast_nothing_is_said(items: list[str]) -> None:
    found = agreement(items)
    assert found[:2] == (None, None) and found.items == sum(len(one) > 1 for one in items)


def test_few_items_and_rare_contrast_have_no_interval() -> None:
    few = agreement(["aa", "bb", "ab"])
    assert few.alpha is not None and few.interval is None
    rare = agreement([*["aa"] * 40, "ab"])
    assert rare.alpha is not None and rare.interval is None


def test_the_interval_is_keyed_and_order_does_not_matter() -> None:
    items = ["aa", "ab", "bb", "ba", "bc"] * FEWEST_ITEMS
    assert agreement(items) == agreement(items) != agreement(items, seed=1)
    turned = agreement([one[::-1] for one in items])
    assert turned == agreement(items) and isinstance(turned, Agreement)


def test_the_interval_covers_the_truth() -> None:
    """Two reviewers who each name the true verdict of 80 items with 0.9: 1 - 0.18 / 0.5 is alpha of them."""
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(200):
        truth = rng.integers(0, 2, 80)
        said = [np.where(rng.random(80) < 0.9, truth, 1 - truth) for _ in range(2)]
        found = agreement([f"{a}{b}" for a, b in zip(*said, strict=True)]).interval
        covered += found is not None and found.low <= 1 - 0.18 / 0.5 <= found.high
    assert covered >= 180
