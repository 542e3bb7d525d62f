"""Fidelity: the published formulas, their identities, and rows that have no score."""

from __future__ import annotations

import numpy as np
import pytest

from nla_ray.nla.reconstruction.fidelity import (
    Baseline,
    Directions,
    cos,
    fve_nrm,
    fve_nrm_meannorm,
    meannorm_baseline,
    meannorm_mse,
    mse_nrm,
    unit,
    variance_baseline,
    variance_nrm,
)


def _vectors(seed: int, n: int = 50, d: int = 16) -> np.ndarray:
    """Raw vectors of very different norms around a common direction, as activations are."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, d)) + 0.7) * rng.lognormal(3, 1, size=(n, 1))


def _rescaled(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True) * vectors.shape[1] ** 0.5


def test_mse_nrm_is_the_squared_error_of_rescaled_vectors() -> None:
    v, r = _vectors(0), _vectors(1)
    expected = ((_rescaled(v) - _rescaled(r)) ** 2).mean(axis=1)
    np.testing.assert_allclose(mse_nrm(v, r), expected, rtol=1e-12)


def test_cos_ignores_length_and_knows_the_extremes() -> None:
    v = _vectors(0)
    np.testing.assert_allclose(cos(v, 7 * v), 1, rtol=1e-12)
    np.testing.assert_allclose(cos(v, -v), -1, rtol=1e-12)
    assert cos(np.array([1.0, 0]), np.array([0, 2.0])) == 0
    assert cos(v[:, None], v[None]).shape == (50, 50)


def test_variance_is_the_error_of_the_best_constant() -> None:
    v = _rescaled(_vectors(0))
    assert variance_nrm(_vectors(0)) == pytest.approx(((v - v.mean(axis=0)) ** 2).mean())


def test_meannorm_is_the_error_of_the_mean_on_the_sphere() -> None:
    v = _vectors(0)
    mean = _rescaled(v).mean(axis=0)
    assert meannorm_mse(v) == pytest.approx(mse_nrm(v, mean).mean())
    assert meannorm_mse(v) > variance_nrm(v)


def test_fve_is_zero_for_the_constant_and_one_for_the_vector() -> None:
    v = _vectors(0)
    baseline = meannorm_baseline(v, "the set itself")
    mean = _rescaled(v).mean(axis=0)
    assert float(fve_nrm_meannorm(mse_nrm(v, mean).mean(), baseline)) == pytest.approx(0)
    assert float(fve_nrm(mse_nrm(v, v).mean(), variance_baseline(v, "the set itself"))) == pytest.approx(1)


def test_fve_of_the_average_is_the_average_of_fve() -> None:
    v, r = _vectors(0), _vectors(1)
    baseline = variance_baseline(v, "v")
    per_row = fve_nrm(mse_nrm(v, r), baseline)
    assert per_row.shape == (50,)
    assert per_row.mean() == pytest.approx(float(fve_nrm(mse_nrm(v, r).mean(), baseline)))


def test_published_denominators_give_the_published_arithmetic() -> None:
    """Qwen2.5-7B L20: Var 0.7335; a cosine of 0.9 is then an FVE of 0.727."""
    assert float(fve_nrm(2 * (1 - 0.9), Baseline(0.7335, "its training set", 1))) == pytest.approx(
        0.7273, abs=1e-4
    )


def test_a_baseline_records_what_it_is_over() -> None:
    v = _vectors(0)
    v[3], v[4] = 0, np.nan
    baseline = variance_baseline(v, "demo documents, seed 1")
    assert baseline == Baseline(variance_nrm(np.delete(v, [3, 4], axis=0)), "demo documents, seed 1", 48)
    assert meannorm_baseline(v, "x").n == 48


def test_rows_without_a_direction_score_nan_and_leave_the_others_alone() -> None:
    v, r = _vectors(0, n=5), _vectors(1, n=5)
    v[1], v[2, 0], r[3, 1] = 0, np.inf, np.nan
    expected = mse_nrm(v[[0, 4]], r[[0, 4]])
    np.testing.assert_array_equal(mse_nrm(v, r)[[0, 4]], expected)
    assert np.isnan(mse_nrm(v, r)[1:4]).all()
    assert np.isnan(fve_nrm(mse_nrm(v, r), Baseline(0.5, "x", 1))).tolist() == [
        False,
        True,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("vectors", [np.zeros((0, 4)), np.zeros((3, 4)), np.full((2, 4), np.nan)])
def test_a_reference_set_without_directions_has_no_baseline(vectors: np.ndarray) -> None:
    baseline = variance_baseline(vectors, "nothing")
    assert np.isnan(baseline.value)
    assert baseline.n == 0
    assert np.isnan(meannorm_mse(vectors))
    assert np.isnan(fve_nrm(0.1, baseline))


def test_a_constant_reference_set_gives_nan_rather_than_infinity() -> None:
    baseline = variance_baseline(np.outer([1, 2, 5], _vectors(0)[0]), "three alike")
    assert 0 <= baseline.value < 1e-9
    assert np.isnan(fve_nrm(0.1, baseline))


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_float32_extremes_keep_their_direction(size: float) -> None:
    vector = np.array([3, 4], dtype=np.float32) * np.float32(size)
    np.testing.assert_allclose(unit(vector), [0.6, 0.8], rtol=1e-6)


def test_no_rows_give_no_scores() -> None:
    assert mse_nrm(np.zeros((0, 4)), np.zeros((0, 4))).shape == (0,)


def test_running_directions_give_the_variance_of_all_vectors() -> None:
    vectors = _vectors(0, n=40, d=8)
    directions = Directions(8)
    assert np.isnan(directions.variance_nrm())
    directions.add(vectors[:7])
    directions.add(np.concatenate([vectors[7:], np.zeros((1, 8)), np.full((1, 8), np.nan)]))
    assert directions.n == 40
    assert directions.variance_nrm() == pytest.approx(variance_nrm(vectors))
