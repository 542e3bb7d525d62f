"""Packed linear layers compute what the library's do."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nla_ray.nla.engines.packing import PackedLinear, pack


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(7,), (1, 7), (3, 1, 7), (2, 5, 7)])
def test_a_packed_layer_equals_its_origin(shape: tuple[int, ...], bias: bool) -> None:
    linear, x = nn.Linear(7, 12, bias=bias), torch.randn(shape)
    with torch.inference_mode():
        torch.testing.assert_close(PackedLinear(linear)(x), linear(x))


def test_all_layers_are_packed_however_deep() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.SiLU(), nn.Linear(4, 2)))
    x = torch.randn(3, 4)
    expected = model(x)
    pack(model)
    torch.testing.assert_close(model(x), expected)
    assert not any(isinstance(module, nn.Linear) for module in model.modules())


def test_other_types_are_left_alone() -> None:
    model = nn.Sequential(nn.Linear(4, 4, dtype=torch.bfloat16))
    pack(model)
    assert isinstance(model[0], nn.Linear)
