"""What units cost adds up, also through JSON."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest

from nla_ray.nla.reconstruction.fidelity import Directions
from nla_ray.stages.units.tally import Tally, peak_bytes, total, worker_id


def test_time_adds_up_by_step_also_when_the_step_fails() -> None:
    tally = Tally()
    with tally.timed("extract"):
        pass
    once = tally.seconds["extract"]
    with pytest.raises(ValueError, match="no"), tally.timed("extract"):
        raise ValueError("no")
    assert list(tally.seconds) == ["extract"] and tally.seconds["extract"] > once > 0


def test_units_add_up_through_json() -> None:
    vectors = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
    whole, parts = Directions(4), []
    whole.add(vectors)
    for index in range(2):
        part = Tally(documents=2, vectors=3, tokens=7, generated=5, truncated=1, directions=Directions(4))
        assert part.directions is not None
        part.directions.add(vectors[3 * index : 3 * index + 3])
        part.seconds = {"read": 1.0, f"step{index}": 0.5}
        part.decoders, part.steps = Counter(slots=3), Counter(slots=8, useful=6 + index)
        part.outcomes = {"real": Counter(ok=2, unclosed=index)}
        part.cosines = {"real": (2, 1.5)}
        part.peak_bytes = {"worker": 100 * (index + 1), f"worker{index}": 7}
        parts.append(json.loads(json.dumps(part.as_json(), allow_nan=False)))
    found = total(parts)
    assert (found.documents, found.vectors, found.tokens, found.generated, found.truncated) == (
        4,
        6,
        14,
        10,
        2,
    )
    assert found.seconds == {"read": 2.0, "step0": 0.5, "step1": 0.5}
    assert found.decoders == {"slots": 6} and found.slot_use == 13 / 16
    assert found.outcomes == {"real": Counter(ok=4, unclosed=1)}
    assert found.mean_cos("real") == pytest.approx(0.75) and found.mean_cos("random") is None
    assert found.peak_bytes == {"worker": 200, "worker0": 7, "worker1": 7}
    assert found.directions is not None
    assert found.directions.variance_nrm() == pytest.approx(whole.variance_nrm())
    assert total([found.as_json()]).as_json() == found.as_json()


def test_nothing_adds_up_to_nothing() -> None:
    assert total([]) == Tally()


def test_a_worker_is_known_by_a_random_id() -> None:
    tally = Tally()
    tally.saw_worker()
    assert tally.peak_bytes == {worker_id(): peak_bytes()} and peak_bytes() > 1 << 20
