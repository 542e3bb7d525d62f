"""The fidelity of one reconstruction."""

from __future__ import annotations

import numpy as np
import pytest

from nla_ray.nla.reconstruction.fidelity import mse_nrm
from nla_ray.stages.score import score_of


def test_a_score_needs_two_directions() -> None:
    one, other = np.random.default_rng(0).standard_normal((2, 8))
    found = score_of(one, other)
    assert found is not None and found.mse_nrm == pytest.approx(float(mse_nrm(one, other)))
    assert score_of(np.zeros(8), other) is None
    assert score_of(one, np.full(8, np.nan)) is None
