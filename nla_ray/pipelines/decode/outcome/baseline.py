"""The denominator of a run's `fve_nrm`, with what it was measured on."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from nla_ray.config.decode import Baseline, DecodeConfig
from nla_ray.errors import CheckpointError
from nla_ray.nla.reconstruction.fidelity import Directions
from nla_ray.nla.sidecar.known import known_of
from nla_ray.nla.sidecar.read import SIDECAR_NAME, read_sidecar


def known_baseline(config: DecodeConfig, ar: Path | None) -> Baseline | None:
    """The denominator of `fve_nrm`, if known before: configured, in the AR's sidecar, or in the table.

    Raises CheckpointError for one in the sidecar that is malformed.
    """
    if config.baseline is not None:
        return config.baseline
    if ar is None:
        return None
    published = read_sidecar(ar, facts=config.models.pair).extra.get("fve_baseline")
    if published is None:
        known = known_of(ar)
        return None if known is None else known.baseline
    return _published_baseline(ar, published)


def own_baseline(directions: Directions | None) -> Baseline | None:
    """The variance of the run's own vectors; None where there are none."""
    value = float("nan") if directions is None else directions.variance_nrm()
    if directions is None or not value > 0:
        return None
    return Baseline(value=value, reference="the own vectors of this run", n=directions.n)


def _published_baseline(ar: Path, published: object) -> Baseline:
    try:
        return Baseline.model_validate(published)
    except ValidationError:
        raise CheckpointError.field(
            f"{ar}/{SIDECAR_NAME}",
            "fve_baseline",
            published,
            "value, reference and n were expected; give `baseline` in the configuration instead",
        ) from None
