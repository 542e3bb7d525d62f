"""The keyed numbers and the inverse cumulative distribution, against plain definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nla_ray.nla.generation.sampling import choose, uniforms

ONE = torch.tensor([1 - 2.0**-24])


def test_uniforms_are_splitmix64() -> None:
    # The first three outputs of the reference generator for seed 0.
    outputs = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    found = uniforms(torch.zeros(3, dtype=torch.int64), torch.arange(3))
    assert found.tolist() == [(output >> 40) / 2**24 for output in outputs]


def test_uniforms_are_uniform_over_keys_and_over_steps() -> None:
    keys = torch.arange(-500, 500).repeat_interleave(100)
    values = uniforms(keys, torch.arange(100).repeat(1000)).reshape(1000, 100)
    assert values.min() >= 0 and values.max() < 1
    counts = torch.histc(values, bins=20, min=0, max=1)
    assert ((counts - 5000) ** 2 / 5000).sum() < 45, "chi-square with 19 degrees of freedom, p = 0.0007"
    assert np.abs(np.corrcoef(values[:, :-1].flatten(), values[:, 1:].flatten())[0, 1]) < 0.01
    assert np.abs(np.corrcoef(values[:-1].flatten(), values[1:].flatten())[0, 1]) < 0.01


@pytest.mark.parametrize("vocabulary", [5, 64, 1000])
@pytest.mark.parametrize("temperature", [1.0, 0.5, 3.0])
def test_choose_inverts_the_cumulative_distribution(vocabulary: int, temperature: float) -> None:
    generator = torch.Generator().manual_seed(vocabulary)
    logits_BV = 3 * torch.randn(200, vocabulary, generator=generator)
    uniforms_B = torch.rand(200, generator=generator)
    cdf_BV = torch.softmax(logits_BV.double() / temperature, dim=-1).cumsum(dim=-1)
    expected_B = torch.searchsorted(cdf_BV, uniforms_B.double()[:, None]).squeeze(1)
    assert torch.equal(choose(logits_BV, uniforms_B, temperature, 1.0), expected_B)


def test_temperature_zero_takes_the_most_likely_token() -> None:
    logits_BV = torch.randn(10, 100)
    assert torch.equal(choose(logits_BV, torch.rand(10), 0.0, 0.5), logits_BV.argmax(dim=-1))


def test_top_p_keeps_the_most_likely_tokens_up_to_the_mass() -> None:
    logits_BV = torch.tensor([[0.1, 0.4, 0.2, 0.3]]).log().repeat(1000, 1)
    uniforms_B = torch.linspace(0, 1 - 2**-24, 1000)
    drawn = choose(logits_BV, uniforms_B, 1.0, 0.65)
    assert set(drawn.tolist()) == {1, 3}
    assert (drawn == 1).float().mean() == pytest.approx(4 / 7, abs=0.002)
    assert set(choose(logits_BV, uniforms_B, 1.0, 1e-9).tolist()) == {1}
    assert set(choose(logits_BV, uniforms_B, 1.0, 0.95).tolist()) == {0, 1, 2, 3}


@pytest.mark.parametrize("uniform", [torch.zeros(1), torch.tensor([0.5]), ONE])
@pytest.mark.parametrize("top_p", [1.0, 0.9])
@pytest.mark.parametrize("only", [0, 63, 64, 150])
def test_a_token_without_probability_is_never_drawn(uniform: torch.Tensor, top_p: float, only: int) -> None:
    logits_BV = torch.full((1, 151), float("-inf"))
    logits_BV[0, only] = 0.0
    assert choose(logits_BV, uniform, 1.0, top_p).tolist() == [only]


def test_bfloat16_logits_are_drawn_in_float32() -> None:
    logits_BV = torch.randn(50, 300).bfloat16()
    uniforms_B = torch.rand(50)
    assert torch.equal(
        choose(logits_BV, uniforms_B, 1.0, 1.0), choose(logits_BV.float(), uniforms_B, 1.0, 1.0)
    )


def test_a_row_does_not_depend_on_the_others() -> None:
    logits_BV, uniforms_B = torch.randn(40, 1000), torch.rand(40)
    for top_p in (1.0, 0.8):
        together = choose(logits_BV, uniforms_B, 1.0, top_p)
        order = torch.randperm(40)
        assert torch.equal(choose(logits_BV[order], uniforms_B[order], 1.0, top_p), together[order])
