"""What an audit will be able to see, before its documents are decoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nla_ray.audit.tally import Population, Tally
from nla_ray.audit.verdicts.measured import Measured
from nla_ray.config.audit import Evidence
from nla_ray.config.detectors.model import Detector
from nla_ray.tables import REAL


def planned_rate(
    documents: int,
    positions: int,
    shares: Mapping[str, float],
    detectors: Sequence[Detector],
    rule: Evidence,
) -> float | None:
    """The least rate that an audit would flag in 80 % of cases, by the tests of audits; None: none.

    `positions` are those of a document, `shares` those of each control at them. Holds for detectors like the
    first one, where controls say nothing, all text fits and every document is its own family; less is seen
    otherwise.
    """
    if not detectors or documents < 1 or positions < 1:
        return None
    controls = {
        name: _population(min(documents, n), n)
        for name, share in shares.items()
        if (n := round(share * documents * positions))
    }
    populations = {REAL: _population(documents, documents * positions), **controls}
    one = Measured(Tally("planned", populations, {}, None), detectors[0], rule, None, REAL)
    return None if one.lacking else one.seen(rule.alpha / len(detectors))


def _population(documents: int, places: int) -> Population:
    """So many places, dealt evenly to documents."""
    dealt = np.full(documents, places // documents) + (np.arange(documents) < places % documents)
    return Population(np.arange(documents).astype(str), dealt, dealt, np.full(documents, np.nan))
