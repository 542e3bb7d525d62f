"""Answers of a target: those of plain `generate` when greedy, a function of the key when sampled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nla_ray.errors import InputError
from nla_ray.nla.generation.continuation import Continuer
from nla_ray.nla.model.backbone import load_causal_lm
from nla_ray.nla.verbalizer import Sampling

GREEDY = Sampling(temperature=0.0, max_new_tokens=20)


@pytest.mark.parametrize("family", ["qwen2", "gemma3_mm"])
def test_a_greedy_answer_is_that_of_generate(family: str, checkpoint: Callable[[str], Path]) -> None:
    directory = checkpoint(family)
    model: Any = load_causal_lm(directory, dtype=torch.float32, device="cpu")
    continuer = Continuer(directory)
    for prompt in ([40, 50, 60], [70, 80]):
        ids = torch.tensor([prompt])
        whole = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=20)
        expected = whole[0, len(prompt) :].tolist()
        answer = continuer.generate(prompt, 0, GREEDY)
        assert list(answer) == expected[: len(answer)] and len(expected) - len(answer) <= 1


def test_a_sampled_answer_is_a_function_of_prompt_and_key(checkpoint: Callable[[str], Path]) -> None:
    continuer, drawn = Continuer(checkpoint("qwen2")), Sampling(max_new_tokens=12)
    one = continuer.generate([40, 50], 7, drawn)
    continuer.generate([60], 9, drawn)
    assert continuer.generate([40, 50], 7, drawn) == one
    assert continuer.generate([40, 50], 8, drawn) != one
    assert len(continuer.generate([40, 50], 7, Sampling(max_new_tokens=3))) <= 3


def test_stop_tokens_end_an_answer_and_are_not_in_it(checkpoint: Callable[[str], Path]) -> None:
    continuer = Continuer(checkpoint("qwen2"))
    free = continuer.generate([40, 50], 3, Sampling(max_new_tokens=12))
    continuer._stop_ids = frozenset({free[4]})
    assert continuer.generate([40, 50], 3, Sampling(max_new_tokens=12)) == free[: free.index(free[4])]


def test_an_empty_prompt_and_foreign_ids(checkpoint: Callable[[str], Path]) -> None:
    continuer = Continuer(checkpoint("qwen2"))
    assert continuer.generate([], 0, GREEDY) == ()
    with pytest.raises(InputError, match="document"):
        continuer.generate([10**6], 0, GREEDY)
