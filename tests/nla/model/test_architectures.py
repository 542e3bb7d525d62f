"""Every named family: extraction, decoding and reconstruction against plain runs of the whole model."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from nla_ray.nla.engines.slots import SlotLayout
from nla_ray.nla.engines.transformers import TransformersVerbalizer
from nla_ray.nla.extraction import Extractor
from nla_ray.nla.model.blocks.stack import find_stack
from nla_ray.nla.prompt import ar_prompt_ids, load_tokenizer, render_av_prompt
from nla_ray.nla.reconstruction.reconstructor import Reconstructor
from nla_ray.nla.sidecar.read import read_sidecar
from nla_ray.nla.verbalizer import Sampling
from tests.architectures import ARCHITECTURES
from tests.conftest import NlaDirs
from tests.nla.engines.verbalizer_contract import ROWS, VECTORS, cut
from tests.reference import full_model
from tests.tiny import AR_SEED, LAYER, tiny_checkpoint

Nla = Callable[[str], NlaDirs]
QUICK = ("qwen3_next", "gemma4", "gpt_neox")
"""Recurrent states; shared keys, and no configuration of fewer blocks; other names of all parts."""

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


def hooked_answers(av: Path, tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Greedy tokens and their log-probabilities [n, tokens]: a hook puts VECTORS in, no step has a cache."""
    model: Any = full_model(av)
    prompt = render_av_prompt(load_tokenizer(av), read_sidecar(av))
    unit_BD = torch.from_numpy(VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True))

    def put(_: Any, __: Any, output: torch.Tensor) -> torch.Tensor:
        output = output.clone()
        output[:, prompt.slots[0]] = SCALE * unit_BD
        return output

    hook = model.get_input_embeddings().register_forward_hook(put)
    ids_BT, logps = torch.tensor(prompt.ids).repeat(len(VECTORS), 1), []
    for _ in range(tokens):
        best_B = model(input_ids=ids_BT, use_cache=False).logits[:, -1].log_softmax(dim=-1).max(dim=-1)
        ids_BT = torch.cat([ids_BT, best_B.indices[:, None]], dim=1)
        logps.append(best_B.values)
    hook.remove()
    return ids_BT[:, len(prompt.ids) :], torch.stack(logps, dim=1)


@families
def test_greedy_answers_are_those_of_a_loop_with_a_hook(nla: Nla, family: str) -> None:
    av = nla(family)[1]
    engine = TransformersVerbalizer(av, layout=SlotLayout(8))
    assert engine.kind == ("slots" if family in SLOTS else "plain")
    found = engine.generate(VECTORS, ROWS, Sampling(temperature=0, max_new_tokens=8, logps=True))
    tokens_BT, logps_BT = hooked_answers(av, 8)
    assert logps_BT[:, 0].unique().numel() == len(VECTORS), "the vectors must matter"
    stops = set(full_model(av).generation_config.eos_token_id)
    for one, tokens, logps in zip(found, tokens_BT.tolist(), logps_BT, strict=True):
        assert one.token_ids == cut(tokens, stops)
        torch.testing.assert_close(torch.tensor(one.logps), logps[: len(one.logps)], rtol=1e-3, atol=1e-3)


@families
def test_an_answer_does_not_depend_on_its_neighbours(nla: Nla, family: str) -> None:
    engine = TransformersVerbalizer(nla(family)[1], layout=SlotLayout(8))
    drawn = Sampling(max_new_tokens=8, seed=2)
    together = engine.generate(VECTORS[:6], ROWS[:6], drawn)
    assert len({one.token_ids for one in together}) == 6
    assert engine.generate(VECTORS[5::-1], ROWS[5::-1], drawn) == together[::-1]
    assert engine.generate(VECTORS[4:5], ROWS[4:5], drawn) == together[4:5]


@families
def test_a_reconstructor_reads_what_the_whole_model_gives(nla: Nla, family: str, tmp_path: Path) -> None:
    ar = nla(family)[2]
    reconstructor = Reconstructor(ar, batch_tokens=200)
    texts = ["The text.", "a", "that the other one is not the thing they had in mind, said the model", "7"]
    prompts = ar_prompt_ids(load_tokenizer(ar), reconstructor.sidecar, texts)
    together = reconstructor.reconstruct(texts)
    model: Any = full_model(tiny_checkpoint(family, tmp_path, seed=AR_SEED))
    weight = load_file(ar / "value_head.safetensors")["weight"]
    for text, prompt, vector in zip(texts, prompts, together, strict=True):
        wanted = weight @ block_outputs(model, prompt, [LAYER])[-1, 0]
        close = {"rtol": 1e-3, "atol": 1e-4 * float(wanted.abs().max())}
        np.testing.assert_allclose(vector, wanted, **close)
        np.testing.assert_allclose(reconstructor.reconstruct([text])[0], vector, **close)
