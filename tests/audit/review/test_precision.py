"""Precision and recall from verdicts: by hand on a few, and by repeats of a world where both are known."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from nla_ray.audit.review.draw import SHARES
from nla_ray.audit.review.precision import Judged, precision_of, together

STRATA = {"hit": 100, "set aside": 20, "elsewhere": 1000}


def judged(stratum: str, *verdicts: str, real: bool = True) -> Iterator[Judged]:
    for at, verdict in enumerate(verdicts):
        name = f"{stratum}-{real}-{at}"
        yield Judged(name, "secrecy", stratum, STRATA, real, name, verdict)


HITS = (*judged("hit", *["true"] * 8, "false", "false", "unclear"), *judged("hit", "true", real=False))


def test_true_hits_over_hits_and_over_what_the_near_misses_stand_for() -> None:
    near = judged("set aside", "true", "false", "false", "false")
    found = precision_of("secrecy", [*HITS, *near, *judged("elsewhere", "true", "false")])
    assert (found.true, found.false, found.missed, found.rightly, found.unclear) == (8, 2, 2, 4, 1)
    assert found.precision is not None and found.precision.rate == 0.8
    # 80 of 100 hits are true, and 5 of 20 near misses would be; what stands elsewhere is told beside it.
    assert found.recall is not None and found.recall.rate == pytest.approx(80 / 85, abs=1e-4)
    assert found.recall.low < 0.8 < found.recall.high < 1
    assert (found.elsewhere, found.controls) == ((1, 2), (1, 1))
    assert not found.validation("Ann").enough


@pytest.mark.parametrize(
    "others", [(), tuple(judged("elsewhere", "false")), tuple(judged("set aside", "unclear"))]
)
def test_there_is_no_recall_without_judged_near_misses(others: tuple[Judged, ...]) -> None:
    assert precision_of("secrecy", [*HITS, *others]).recall is None


def test_nothing_is_said_without_a_judged_hit() -> None:
    found = precision_of("secrecy", [*judged("hit", "unclear"), *judged("set aside", "false")])
    assert (found.precision, found.recall) == (None, None)


def test_documents_of_one_family_count_as_what_they_are_worth() -> None:
    said = ["true"] * 30 + ["false"] * 30
    alone = [Judged(f"{at}", "d", "hit", STRATA, True, f"{at}", one) for at, one in enumerate(said)]
    alike = [Judged(f"{at}", "d", "hit", STRATA, True, f"{at // 10}", one) for at, one in enumerate(said)]
    widths = []
    for found in (precision_of("d", alone).precision, precision_of("d", alike).precision):
        assert found is not None and found.rate == 0.5
        widths.append(found.high - found.low)
    assert widths[1] > 2 * widths[0]


def test_reviewers_together_say_what_most_of_them_say() -> None:
    assert [together(one.split()) for one in ("true", "true false", "false true false", "unclear")] == [
        "true",
        "unclear",
        "false",
        "unclear",
    ]


@pytest.mark.parametrize("alike", [0.0, 0.5])
def test_intervals_hold_the_truth(alike: float) -> None:
    """At least 0.9 of 100 repeats of 60 hits and 48 near misses: 0.94 to 0.99 of 400 when it was written."""
    rng = np.random.default_rng(7)
    held = np.array([_held(rng, alike) for _ in range(100)])
    assert held.mean(axis=0).min() >= 0.9


def _held(rng: np.random.Generator, alike: float) -> tuple[bool, bool]:
    """Whether both intervals hold the truth of a world whose documents say the same of each other."""
    shares = {"hit": (400, 0.8), "set aside": (300, 0.2), "vocabulary": (3000, 0.02)}
    strata = {name: n for name, (n, _) in shares.items()}
    true, some = {}, []
    for name, (n, share) in shares.items():
        family = rng.integers(0, 150, n)
        truth = np.where(rng.random(n) < alike, (rng.random(150) < share)[family], rng.random(n) < share)
        true[name] = int(truth.sum())
        some += [
            Judged(f"{name}{at}", "d", name, strata, True, f"{family[at]}", "true" if truth[at] else "false")
            for at in rng.permutation(n)[: round(60 * SHARES[name])]
        ]
    found = precision_of("d", some)
    assert found.precision is not None and found.recall is not None
    recall = true["hit"] / sum(true.values())
    return (
        found.precision.low <= true["hit"] / strata["hit"] <= found.precision.high,
        found.recall.low <= recall <= found.recall.high,
    )
