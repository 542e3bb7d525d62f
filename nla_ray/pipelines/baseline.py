"""The denominator of a run's `fve_nrm`, with what it was measured on."""

from __future__ import annotations

from pydantic import ValidationError

from nla_ray.config.decode import Baseline, DecodeConfig
from nla_ray.errors import CheckpointError
from nla_ray.nla.fidelity import Directions
from nla_ray.nla.sidecar import SIDECAR_NAME, read_sidecar
from nla_ray.stages.decode import Checkpoints


def baseline_of(config: DecodeConfig, checkpoints: Checkpoints, directions: Directions) -> Baseline | None:
    """The denominator of `fve_nrm`: the configured one, else the one in the reconstructor's sidecar.

    Where there is neither, it is the variance of the run's own vectors; None without any. Raises
    CheckpointError for one in the sidecar that is malformed.
    """
    if config.baseline is not None:
        return config.baseline
    published = None if checkpoints.ar is None else read_sidecar(checkpoints.ar).extra.get("fve_baseline")
    if published is not None:
        return _published_baseline(checkpoints, published)
    value = directions.variance_nrm()
    if not value > 0:
        return None
    return Baseline(value=value, reference="the own vectors of this run", n=directions.n)


def _published_baseline(checkpoints: Checkpoints, published: object) -> Baseline:
    try:
        return Baseline.model_validate(published)
    except ValidationError:
        raise CheckpointError.field(
            f"{checkpoints.ar}/{SIDECAR_NAME}",
            "fve_baseline",
            published,
            "value, reference and n were expected; give `baseline` in the configuration instead",
        ) from None
