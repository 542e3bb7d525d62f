"""Which vectors can be injected, at which norm, and that only the slot changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nla_ray.config.models.injection import Injection
from nla_ray.errors import EngineError
from nla_ray.nla.injection import injected, injecting, rescale, unusable


def test_zero_nan_and_infinite_vectors_are_named() -> None:
    vectors = np.ones((4, 3), dtype=np.float32)
    vectors[0], vectors[1, 1], vectors[2, 2] = 0, np.nan, -np.inf
    zero, nan, infinite, fine = unusable(vectors)
    assert (zero, fine) == ("the vector is zero", None)
    assert nan == infinite == "the vector holds NaN or infinity"
    assert unusable(vectors.reshape(2, 2, 3)) == ["the vector is zero", "the vector holds NaN or infinity"]


@pytest.mark.parametrize("size", [1e-40, 1e-30, 1.0, 1e30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rescale_gives_the_norm_whatever_the_size(size: float, dtype: torch.dtype) -> None:
    vectors_BD = torch.randn(5, 64, generator=torch.Generator().manual_seed(0)).mul(size).to(dtype)
    scaled_BD = rescale(vectors_BD, 150.0)
    assert scaled_BD.dtype == torch.float32
    torch.testing.assert_close(scaled_BD.norm(dim=1), torch.full((5,), 150.0))
    cos = torch.nn.functional.cosine_similarity(scaled_BD.double(), vectors_BD.double() / size)
    torch.testing.assert_close(cos, torch.ones(5, dtype=torch.float64))


def test_no_scale_leaves_the_vector() -> None:
    vectors_BD = torch.randn(2, 8)
    assert torch.equal(rescale(vectors_BD, None), vectors_BD)


def test_only_the_slot_of_live_rows_changes() -> None:
    embeds_BTD, vectors_BD = torch.randn(3, 5, 8), torch.randn(3, 8)
    kept, live_B1 = embeds_BTD.clone(), torch.tensor([[True], [False], [True]])
    raw = Injection.replacing(None)
    with injecting(None, raw, embeds_BTD, [2], vectors_BD, live_B1) as changed_BTD:
        expected_BTD = kept.clone()
        expected_BTD[[0, 2], 2] = vectors_BD[[0, 2]]
        assert torch.equal(changed_BTD, expected_BTD) and torch.equal(embeds_BTD, kept)


def test_each_slot_takes_its_vector_and_no_other_number_of_vectors_is_taken() -> None:
    embeds_BTD, vectors_BSD, two = (
        torch.randn(3, 5, 8),
        torch.randn(3, 2, 8),
        Injection.parse("replace@embedding=raw,slots=2", 8),
    )
    with injecting(None, two, embeds_BTD, [1, 3], vectors_BSD) as changed_BTD:
        assert torch.equal(changed_BTD[:, [1, 3]], vectors_BSD)
        assert torch.equal(changed_BTD[:, [0, 2, 4]], embeds_BTD[:, [0, 2, 4]])
    with (
        pytest.raises(EngineError, match="1 vectors for 2 markers"),
        injecting(None, two, embeds_BTD, [1, 3], vectors_BSD[:, 0]),
    ):
        pass


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_becomes_of_a_state(dtype: torch.dtype) -> None:
    state_BD, vectors_BD = torch.tensor([[3.0, 4.0]], dtype=dtype), torch.tensor([[0.0, 1e-30]])
    for text, expected in {
        "replace@embedding=7": [0, 7], "add@output:0=2": [3, 6], "add_matched@output:1": [3, 9],
        "add_matched@input:1=2": [3, 14],
    }.items():  # fmt: skip
        made_BD = injected(state_BD, vectors_BD, Injection.parse(text, 2))
        assert made_BD.dtype == dtype and made_BD.tolist() == [pytest.approx(expected)]
