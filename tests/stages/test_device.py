"""Where models run and with which numbers."""

from __future__ import annotations

import pytest
import torch

from nla_ray.config.decode import Engine
from nla_ray.errors import ConfigError
from nla_ray.stages.device import device_of


def test_devices_and_types() -> None:
    assert device_of(Engine(device="cpu")) == (torch.device("cpu"), torch.float32)
    assert device_of(Engine(device="cpu", dtype="bfloat16"))[1] == torch.bfloat16
    with pytest.raises(ConfigError, match=r"cuda:63 is not there"):
        device_of(Engine(device="cuda:63"))


@pytest.mark.gpu
def test_a_gpu_is_taken_where_there_is_one() -> None:
    assert device_of(Engine()) == (torch.device("cuda"), torch.bfloat16)
