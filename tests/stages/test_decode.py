"""Pieces of the decode stage; the whole is tested through `nla-ray decode`."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nla_ray.config.decode import Engine
from nla_ray.errors import ConfigError
from nla_ray.nla.fidelity import Directions, mse_nrm
from nla_ray.stages.decode import Tally, device_of, score_of, unit_id_of
from nla_ray.stages.documents import Document


def test_a_score_needs_two_directions() -> None:
    one, other = np.random.default_rng(0).standard_normal((2, 8))
    found = score_of(one, other)
    assert found is not None and found.mse_nrm == pytest.approx(float(mse_nrm(one, other)))
    assert score_of(np.zeros(8), other) is None
    assert score_of(one, np.full(8, np.nan)) is None


def test_a_unit_is_its_recipe_and_content() -> None:
    one, other = Document("a", "x:1", text="t"), Document("b", "x:2", text="t")
    assert unit_id_of("f", [one, other]) == unit_id_of("f", [Document("a", "moved:9", text="t"), other])
    assert len({unit_id_of("f", [one]), unit_id_of("g", [one]), unit_id_of("f", [other])}) == 3


def test_time_adds_up_by_step() -> None:
    tally = Tally(Directions(1))
    for _ in range(2):
        with tally.timed("extract"):
            pass
    assert list(tally.seconds) == ["extract"] and tally.seconds["extract"] > 0


def test_devices_and_types() -> None:
    assert device_of(Engine(device="cpu")) == (torch.device("cpu"), torch.float32)
    assert device_of(Engine(device="cpu", dtype="bfloat16"))[1] == torch.bfloat16
    with pytest.raises(ConfigError, match=r"cuda:63 is not there"):
        device_of(Engine(device="cuda:63"))


@pytest.mark.gpu
def test_a_gpu_is_taken_where_there_is_one() -> None:
    assert device_of(Engine()) == (torch.device("cuda"), torch.bfloat16)
