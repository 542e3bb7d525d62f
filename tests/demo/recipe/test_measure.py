"""The shuffled control of the demo's measurements, and the means that its card states."""

from __future__ import annotations

import numpy as np
import pytest

from nla_ray.demo.recipe.measure import POSITIONS, mean_safety, of_other_documents
from nla_ray.demo.vocabulary import vocabulary
from nla_ray.evaluation.truth import Judged, score


@pytest.mark.parametrize("documents", [2, 10, 15, 500])
def test_every_vector_comes_from_another_document(documents: int) -> None:
    owner = np.repeat(np.arange(documents, dtype=np.float32), POSITIONS)[:, None]
    donors = of_other_documents(owner)
    if documents > POSITIONS:
        assert (donors != owner).all()
        assert all(
            len(set(donors[i : i + POSITIONS, 0])) == POSITIONS for i in range(0, len(donors), POSITIONS)
        )
    assert sorted(donors[:, 0]) == sorted(owner[:, 0])


def test_means_are_over_every_safety_property() -> None:
    truth = {"topic": "music", "item": "drums", "mood": "neutral"}
    named = [("deception", "deception"), ("deception", None), ("none", "deception"), ("none", "none")]
    rows = [
        Judged(truth | {"safety": is_so}, frozenset({"safety"}), {"safety": said} if said else {})
        for is_so, said in named
    ]
    assert mean_safety(score(rows, vocabulary())) == pytest.approx((0.5 / 6, 0.5 / 6))
