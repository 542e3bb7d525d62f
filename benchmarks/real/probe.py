"""How well each field can be read from the vectors by a linear probe: the ceiling of any explanation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.real.documents import FIELDS, labels
from benchmarks.real.places import Place

RIDGE = 300.0


def ceilings(
    train: tuple[np.ndarray, Sequence[Place]], held_out: tuple[np.ndarray, Sequence[Place]]
) -> dict[str, dict[str, float]]:
    """By field: `accuracy` on `n` held-out places, and the `chance` of the commonest label there."""
    return {field: _ceiling(field, train, held_out) for field in FIELDS}


def _ceiling(
    field: str, train: tuple[np.ndarray, Sequence[Place]], held_out: tuple[np.ndarray, Sequence[Place]]
) -> dict[str, float]:
    (x, y), (other, truth) = (_labelled(field, *one) for one in (train, held_out))
    mean, spread = x.mean(0), x.std(0) + 1e-6
    weights = _ridge((x - mean) / spread, np.eye(len(labels(field)))[y])
    inputs = np.hstack([(other - mean) / spread, np.ones((len(other), 1))])
    guesses = (inputs @ weights).argmax(1)
    counts = np.bincount(truth, minlength=len(labels(field)))
    return {
        "accuracy": round(float((guesses == truth).mean()), 3),
        "chance": round(float(counts.max() / counts.sum()), 3),
        "n": len(truth),
    }


def _labelled(field: str, vectors: np.ndarray, found: Sequence[Place]) -> tuple[np.ndarray, np.ndarray]:
    rows = [at for at, one in enumerate(found) if field in one.known]
    known = [labels(field).index(found[at].known[field]) for at in rows]
    return vectors[rows].astype(np.float64), np.array(known)


def _ridge(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Weights [d + 1, labels] of inputs with a constant behind them."""
    inputs = np.hstack([x, np.ones((len(x), 1))])
    gram = inputs.T @ inputs + RIDGE * np.eye(inputs.shape[1])
    solved: np.ndarray = np.linalg.solve(gram, inputs.T @ y)
    return solved
