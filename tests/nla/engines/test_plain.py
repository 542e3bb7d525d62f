"""The second decoder against the contract and the slots, on families that these serve as well."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AttentionInterface

from nla_ray.nla.engines.choice import Kind
from nla_ray.nla.engines.slots import SlotLayout
from nla_ray.nla.engines.transformers import TransformersVerbalizer
from nla_ray.nla.model.slots import attention
from nla_ray.nla.verbalizer import Sampling
from tests.nla.engines.verbalizer_contract import ROWS, VECTORS, Nla, VerbalizerContract

pytestmark = pytest.mark.slow

SMALL = SlotLayout(slots=8)


class PlainVerbalizer(TransformersVerbalizer):
    def _decide(self, source: Path) -> Kind:
        return "plain"


class TestPlainVerbalizer(VerbalizerContract):
    def open(self, av: Path, dtype: torch.dtype = torch.float32) -> TransformersVerbalizer:
        return PlainVerbalizer(av, dtype=dtype, layout=SMALL)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_the_slots_can_serve_they_do(nla: Nla, dtype: torch.dtype) -> None:
    assert TransformersVerbalizer(nla("gemma3")[1], layout=SMALL, dtype=dtype).kind == "slots"


def test_both_draw_the_same(nla: Nla) -> None:
    asked = Sampling(temperature=0.9, top_p=0.95, max_new_tokens=12, seed=3, logps=True)
    one, other = (
        kind(nla("mistral")[1], layout=SMALL).generate(VECTORS, ROWS, asked)
        for kind in (TransformersVerbalizer, PlainVerbalizer)
    )
    assert [a.token_ids for a in one] == [b.token_ids for b in other]
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(torch.tensor(a.logps), torch.tensor(b.logps), rtol=1e-3, atol=1e-3)


def test_slots_that_attend_otherwise_are_not_taken(nla: Nla) -> None:
    """As where a family turns its scores in a way that slot attention does not know."""

    def otherwise(*args: object, scaling: float, **options: object) -> object:
        return attention.attend(*args, scaling=2 * scaling, **options)  # type: ignore[arg-type]

    AttentionInterface.register(attention.NAME, otherwise)
    try:
        engine = TransformersVerbalizer(nla("qwen2")[1], layout=SMALL)
    finally:
        AttentionInterface.register(attention.NAME, attention.attend)
    assert engine.kind == "plain"
    plain = PlainVerbalizer(nla("qwen2")[1], layout=SMALL)
    asked = Sampling(max_new_tokens=6, seed=1)
    assert engine.generate(VECTORS, ROWS, asked) == plain.generate(VECTORS, ROWS, asked)
