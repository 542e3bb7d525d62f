"""Every named family: extraction, decoding and reconstruction against plain runs of the whole model."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nla_ray.nla.engines.slots import SlotLayout
from nla_ray.nla.engines.transformers import TransformersVerbalizer
from nla_ray.nla.extraction import Extractor
from nla_ray.nla.model.stack import find_stack
from nla_ray.nla.prompt import load_tokenizer, render_av_prompt
from nla_ray.nla.reconstructor import Reconstructor
from nla_ray.nla.sidecar.read import read_sidecar
from nla_ray.nla.verbalizer import Sampling
from tests.architectures import ARCHITECTURES
from tests.conftest import NlaDirs
from tests.nla.verbalizer_contract import ROWS, VECTORS, cut
from tests.reference import full_model

Nla = Callable[[str], NlaDirs]
QUICK = ("qwen3_next", "gemma4", "gpt_neox")
"""One with recurrent states, one that shares keys and cannot be cut by its configuration, one of other names."""

families = pytest.mark.parametrize(
    "family", [one if one in QUICK else pytest.param(one, marks=pytest.mark.slow) for one in ARCHITECTURES]
)
SLOTS = {"qwen3_moe", "mixtral", "glm4_moe", "deepseek_v3", "olmo3", "phi3", "smollm3", "gpt_neox", "gpt2"}
SCALE = 12.0


def documents() -> tuple[list[list[int]], list[list[int]]]:
    rng = random.Random(3)
    ids = [[rng.randrange(5, 340) for _ in range(length)] for length in (30, 1, 9, 17)]
    return ids, [[0, len(one) // 2, len(one) - 1] for one in ids]


def block_outputs(model: Any, ids: list[int], layers: list[int]) -> torch.Tensor:
    """[tokens, layers, d] of one row alone, by hooks on the whole model."""
    blocks, seen = find_stack(model).blocks, {}
    hooks = [
        blocks[k].register_forward_hook(lambda _, __, output, k=k: seen.update({k: output[0]}))
        for k in layers
    ]
    model(input_ids=torch.tensor([ids]), use_cache=False)
    for hook in hooks:
        hook.remove()
    return torch.stack([seen[k] for k in layers], dim=1)


@families
def test_vectors_are_those_of_hooks_on_the_whole_model(nla: Nla, family: str) -> None:
    target = nla(family)[0]
    model: Any = full_model(target)
    last = len(find_stack(model).blocks) - 1
    ids, positions = documents()
    for layers in ([0], [2], [last, 1]):
        found = Extractor(target, layers, batch_tokens=60).extract(ids, positions)
        for row, chosen, vectors in zip(ids, positions, found, strict=True):
            wanted = block_outputs(model, row, layers)[chosen]
            np.testing.assert_allclose(vectors, wanted, rtol=1e-3, atol=1e-4 * float(wanted.abs().max()))


def hooked_answers(av: Path, tokens: int) -> list[tuple[int, ...]]:
    """Greedy answers of the whole model over all tokens at every step, a hook putting VECTORS in."""
    model: Any = full_model(av)
    prompt = render_av_prompt(load_tokenizer(av), read_sidecar(av))
    unit_BD = torch.from_numpy(VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True))

    def put(_: Any, __: Any, output: torch.Tensor) -> torch.Tensor:
        output = output.clone()
        output[:, prompt.slot] = SCALE * unit_BD
        return output

    hook = model.get_input_embeddings().register_forward_hook(put)
    ids_BT = torch.tensor(prompt.ids).repeat(len(VECTORS), 1)
    for _ in range(tokens):
        logits_BTV = model(input_ids=ids_BT, use_cache=False).logits
        ids_BT = torch.cat([ids_BT, logits_BTV[:, -1].argmax(dim=-1)[:, None]], dim=1)
    hook.remove()
    stops = set(model.generation_config.eos_token_id)
    return [cut(answer, stops) for answer in ids_BT[:, len(prompt.ids) :].tolist()]


@families
def test_greedy_answers_are_those_of_a_loop_with_a_hook(nla: Nla, family: str) -> None:
    av = nla(family)[1]
    engine = TransformersVerbalizer(av, layout=SlotLayout(8, 4))
    assert engine.kind == ("slots" if family in SLOTS else "plain")
    found = engine.generate(VECTORS, ROWS, Sampling(temperature=0, max_new_tokens=8))
    wanted = hooked_answers(av, 8)
    assert [one.token_ids for one in found] == wanted
    assert len(set(wanted)) > 1, "the vectors must matter for this test to say something"
    drawn = Sampling(max_new_tokens=8, seed=2)
    together = engine.generate(VECTORS, ROWS, drawn)
    assert engine.generate(VECTORS[::-1], ROWS[::-1], drawn) == together[::-1]
    assert engine.generate(VECTORS[6:7], ROWS[6:7], drawn) == together[6:7]


@families
def test_a_reconstructor_reads_one_text_as_among_others(nla: Nla, family: str) -> None:
    ar = nla(family)[2]
    reconstructor = Reconstructor(ar, batch_tokens=200)
    texts = ["The text.", "a", "that the other one is not the thing they had in mind, said the model", "7"]
    together = reconstructor.reconstruct(texts)
    scale = float(np.abs(together).max())
    for text, vector in zip(texts, together, strict=True):
        np.testing.assert_allclose(reconstructor.reconstruct([text])[0], vector, rtol=1e-3, atol=1e-4 * scale)
