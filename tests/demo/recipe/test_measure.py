"""The shuffled control of the demo's measurements."""

from __future__ import annotations

import numpy as np
import pytest

from nla_ray.demo.recipe.measure import POSITIONS, of_other_documents


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
