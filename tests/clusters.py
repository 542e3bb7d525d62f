"""Trials that cluster, for what counts them."""

from __future__ import annotations

import numpy as np


def clusters(rng: np.random.Generator, p: float, n: int, size: int, correlation: float = 0.2) -> np.ndarray:
    """Beta-binomial counts [n]."""
    spread = 1 / correlation - 1
    return rng.binomial(size, rng.beta(p * spread, (1 - p) * spread, n)).astype(float)
