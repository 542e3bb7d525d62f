"""Answers of a target: those of plain `generate` when greedy, a function of prompt and key when sampled."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from nla_ray.errors import InputError
from nla_ray.nla.extraction import Extractor
from nla_ray.nla.generation.continuation import Continuer
from nla_ray.nla.generation.writer import closed_up
from nla_ray.nla.model.blocks.stack import find_stack
from nla_ray.nla.verbalizer import Sampling
from tests.architectures import ARCHITECTURES
from tests.reference import full_model
from tests.tiny import FAMILIES

Checkpoint = Callable[[str], Path]
GREEDY = Sampling(temperature=0.0, max_new_tokens=8)
PADDED = {"qwen3_5", "qwen3_next", "qwen3_5_moe", "gemma4", "gpt_oss", "nemotron_h"}
QUICK = ("qwen2", "gemma3", "qwen3_5", "gemma4")
"""Slots, slots with a window of 8 tokens, recurrent states, shared keys."""

families = pytest.mark.parametrize(
    "family",
    [
        one if one in QUICK else pytest.param(one, marks=pytest.mark.slow)
        for one in (*FAMILIES, *ARCHITECTURES)
    ],
)


def prompts(count: int = 16) -> list[list[int]]:
    """Of 1 to 40 tokens, the longest among them: several passes are needed to read them."""
    rng = random.Random(5)
    return [
        [rng.randrange(5, 340) for _ in range(length)]
        for length in (40, 1, *(rng.randrange(1, 40) for _ in range(count - 2)))
    ]


def reference(directory: Path, prompt: list[int], tokens: int) -> tuple[int, ...]:
    """The greedy answer of the whole model over all tokens at every step, without the stop token."""
    model: Any = full_model(directory)
    stops, ids = set(model.generation_config.eos_token_id), list(prompt)
    for _ in range(tokens):
        token = int(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax())
        if token in stops:
            break
        ids.append(token)
    return tuple(ids[len(prompt) :])


def until(answer: tuple[int, ...], stops: set[int]) -> tuple[int, ...]:
    return answer[: next((at for at, token in enumerate(answer) if token in stops), len(answer))]


@families
def test_greedy_answers_are_those_of_the_whole_model_over_all_tokens(
    family: str, checkpoint: Checkpoint
) -> None:
    directory, asked = checkpoint(family), prompts()
    continuer = Continuer(directory)
    assert continuer._writer.kind == ("padded" if family in PADDED else "slots")
    found = continuer.generate(asked, [0] * len(asked), GREEDY)
    assert found == [reference(directory, prompt, GREEDY.max_new_tokens) for prompt in asked]
    assert [continuer.generate([one], [0], GREEDY)[0] for one in asked[:4]] == found[:4]
    # Drawn ones end apart in every family: some say one token for ever when they are greedy.
    keys, drawn = list(range(len(asked))), replace(GREEDY, temperature=1.0)
    found = continuer.generate(asked, keys, drawn)
    stops = {token for answer in found[::4] for token in answer[3:5]}
    continuer._writer._stop_ids |= stops
    ended = [until(answer, stops) for answer in found]
    assert len({len(answer) for answer in ended}) > 2, "rows must end apart for this test to say something"
    assert continuer.generate(asked, keys, drawn) == ended


def test_prompts_of_one_length_alone_run_together_where_padding_is_not_proven(checkpoint: Checkpoint) -> None:
    continuer = Continuer(checkpoint("qwen3_5"))
    asked = [*prompts(4), *([at, 50, 60] for at in range(40, 46))]
    found = continuer.generate(asked, [0] * len(asked), GREEDY)
    continuer._writer.kind = "equal"
    assert continuer.generate(asked, [0] * len(asked), GREEDY) == found


def test_greedy_answers_are_those_of_generate(checkpoint: Checkpoint) -> None:
    directory, asked = checkpoint("qwen2"), prompts(6)
    model: Any = full_model(directory)
    stops = model.generation_config.eos_token_id
    for prompt, answer in zip(asked, Continuer(directory).generate(asked, [0] * 6, GREEDY), strict=True):
        ids = torch.tensor([prompt])
        whole = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=8)
        expected = whole[0, len(prompt) :].tolist()
        assert list(answer) == [token for token in expected if token not in stops]


@pytest.mark.parametrize("family", ["qwen2", "qwen3_5"])
def test_a_sampled_answer_is_a_function_of_prompt_and_key(family: str, checkpoint: Checkpoint) -> None:
    continuer, drawn = Continuer(checkpoint(family)), Sampling(max_new_tokens=12)
    asked, keys = prompts(), list(range(16))
    together = continuer.generate(asked, keys, drawn)
    assert continuer.generate(asked[::-1], keys[::-1], drawn) == together[::-1]
    assert continuer.generate(asked[3:5], keys[3:5], drawn) == together[3:5]
    other = continuer.generate(asked, [key + 100 for key in keys], drawn)
    assert sum(one != two for one, two in zip(together, other, strict=True)) > 12
    twice = continuer.generate([asked[0], asked[0]], [7, 8], drawn)
    assert twice[0] != twice[1]
    assert max(map(len, continuer.generate(asked, keys, Sampling(max_new_tokens=3)))) <= 3


def test_stop_tokens_end_an_answer_and_are_not_in_it(checkpoint: Checkpoint) -> None:
    continuer, drawn = Continuer(checkpoint("qwen2")), Sampling(max_new_tokens=12)
    free = continuer.generate([[40, 50], [60]], [3, 4], drawn)
    continuer._writer._stop_ids = frozenset(stops := {free[0][4]})
    assert continuer.generate([[40, 50], [60]], [3, 4], drawn) == [until(one, stops) for one in free]


def test_empty_prompts_and_foreign_ids(checkpoint: Checkpoint) -> None:
    continuer = Continuer(checkpoint("qwen2"))
    assert continuer.generate([], [], GREEDY) == []
    alone = continuer.generate([[40, 50]], [0], GREEDY)[0]
    assert continuer.generate([[], [40, 50], []], [0, 0, 0], GREEDY) == [(), alone, ()]
    with pytest.raises(InputError, match=r"document 1: token id 1000000 is outside the vocabulary"):
        continuer.generate([[40], [10**6]], [0, 0], GREEDY)


def test_damaged_weights_end_as_they_do_elsewhere(checkpoint: Checkpoint, tmp_path: Path) -> None:
    """NaN is no reason to say that an architecture cannot be served."""
    directory = Path(shutil.copytree(checkpoint("qwen2"), tmp_path / "nan"))
    weights = load_file(directory / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][:] = float("nan")
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    assert Continuer(directory)._writer.kind == "equal"


def test_rows_that_go_on_take_the_places_of_those_that_ended() -> None:
    assert closed_up([None, 1, None, 3, 4]) == [4, 1, 3]
    assert closed_up([0, 1, None]) == [0, 1]


@pytest.mark.parametrize("family", ["qwen2", "gemma4", "qwen3_5"])
def test_extraction_and_continuation_share_one_copy_of_the_weights(
    family: str, checkpoint: Checkpoint
) -> None:
    directory, asked = checkpoint(family), prompts(6)
    continuer = Continuer(directory)
    answers, before = continuer.generate(asked, [0] * 6, GREEDY), storages(continuer.model)
    shared = Extractor.within(continuer.model, [2], directory, batch_tokens=60)
    assert storages(shared._held.model) <= before == storages(continuer.model)
    assert len(find_stack(shared._held.model).blocks) == 3 < len(find_stack(continuer.model).blocks)
    at = [[0, len(prompt) - 1] for prompt in asked]
    alone = Extractor(directory, [2], batch_tokens=60).extract(asked, at)
    for one, other in zip(shared.extract(asked, at), alone, strict=True):
        torch.testing.assert_close(torch.tensor(one), torch.tensor(other), rtol=1e-4, atol=1e-4)
    assert continuer.generate(asked, [0] * 6, GREEDY) == answers


def test_a_head_that_is_the_table_of_embeddings_stays_one_with_it(checkpoint: Checkpoint) -> None:
    model = Continuer(checkpoint("gemma3")).model
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def storages(model: torch.nn.Module) -> set[int]:
    """Where the tensors of all modules lie, packed ones too."""
    return {
        value.untyped_storage().data_ptr()
        for module in model.modules()
        for held in (vars(module), module._parameters, module._buffers)
        for value in held.values()
        if isinstance(value, torch.Tensor)
    }
