"""The transformers engine against the contract, and what is its own: layouts, the canary, what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from nla_ray import ids
from nla_ray.errors import CheckpointError, ConfigError, EngineError
from nla_ray.nla.engines.slots import SlotLayout
from nla_ray.nla.engines.transformers import TransformersVerbalizer
from nla_ray.nla.generation.sampling import choose, uniforms
from nla_ray.nla.model.backbone import load_causal_lm
from nla_ray.nla.verbalizer import Sampling
from tests.nla.engines.verbalizer_contract import (
    DRAWN,
    ROWS,
    VECTORS,
    Nla,
    VerbalizerContract,
    av_with_stops,
    cut,
    injected_prompts,
)
from tests.reference import full_model
from tests.tiny import FAMILIES

pytestmark = pytest.mark.slow

SMALL = SlotLayout(slots=8)


class TestTransformersVerbalizer(VerbalizerContract):
    def open(self, av: Path, dtype: torch.dtype = torch.float32) -> TransformersVerbalizer:
        return TransformersVerbalizer(av, dtype=dtype, layout=SMALL)


@pytest.mark.gpu
class TestTransformersVerbalizerOnCuda(VerbalizerContract):
    def open(self, av: Path, dtype: torch.dtype = torch.float32) -> TransformersVerbalizer:
        return TransformersVerbalizer(av, dtype=dtype, device="cuda", layout=SMALL)


def plain_draws(av: Path, sampling: Sampling) -> list[tuple[int, ...]]:
    """Answers drawn with the engine's numbers from the full model, run over all tokens at every step."""
    model, embeds_BTD = full_model(av), injected_prompts(av)
    keys_B = torch.tensor([ids.sampling_key(sampling.seed, row, 0) for row in ROWS])
    tokens: list[torch.Tensor] = []
    for step in range(sampling.max_new_tokens):
        logits_BV = model(inputs_embeds=embeds_BTD).logits[:, -1]
        drawn_B = choose(
            logits_BV, uniforms(keys_B, torch.tensor(step)), sampling.temperature, sampling.top_p
        )
        tokens.append(drawn_B)
        embeds_BTD = torch.cat([embeds_BTD, model.get_input_embeddings()(drawn_B)[:, None]], dim=1)
    stops = set(model.generation_config.eos_token_id)
    return [cut(answer, stops) for answer in torch.stack(tokens, dim=1).tolist()]


@pytest.mark.parametrize("share_prefix", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_draws_equal_the_full_model_step_by_step(nla: Nla, family: str, share_prefix: bool) -> None:
    av = nla(family)[1]
    engine = TransformersVerbalizer(av, layout=SlotLayout(8, share_prefix))
    sampling = Sampling(temperature=0.9, top_p=0.95, max_new_tokens=16, seed=3)
    found = [one.token_ids for one in engine.generate(VECTORS, ROWS, sampling)]
    assert found == plain_draws(av, sampling)


@pytest.mark.parametrize("layout", [SlotLayout(1), SlotLayout(3), SlotLayout(16), SlotLayout(12)])
def test_the_layout_does_not_change_answers(nla: Nla, tmp_path: Path, layout: SlotLayout) -> None:
    av = av_with_stops(nla, tmp_path, list(range(0, 330, 11)))
    expected = TransformersVerbalizer(av, layout=SMALL).generate(VECTORS, ROWS, DRAWN)
    assert TransformersVerbalizer(av, layout=layout).generate(VECTORS, ROWS, DRAWN) == expected


def test_one_token_answers(nla: Nla) -> None:
    engine = TransformersVerbalizer(nla("qwen2")[1], layout=SMALL)
    found = engine.generate(VECTORS, ROWS, Sampling(max_new_tokens=1))
    assert [len(one.token_ids) for one in found] == [1] * len(ROWS)


def test_an_embedding_restored_after_the_injection_is_caught(nla: Nla) -> None:
    engine = TransformersVerbalizer(nla("qwen2")[1], layout=SMALL)
    marker_D, slot = engine.decoder.suffix_TD[engine.decoder.slots[0]].clone(), engine.decoder.slots[0]

    def restore(_module: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
        inputs[0][:, slot] = marker_D

    handle = engine.model.get_decoder().layers[0].register_forward_pre_hook(restore)
    with pytest.raises(EngineError, match=r"a vector and none|two vectors"):
        engine.check_injection()
    handle.remove()
    engine.check_injection()


def test_damaged_weights_are_caught(nla: Nla) -> None:
    engine = TransformersVerbalizer(nla("qwen2")[1], layout=SMALL)
    engine.model.get_decoder().norm.weight.fill_(float("nan"))
    with pytest.raises(EngineError, match="damaged"):
        engine.check_injection()


def test_a_reconstructor_is_refused(nla: Nla) -> None:
    with pytest.raises(CheckpointError, match=r"verbalizer \(AV\) was expected"):
        TransformersVerbalizer(nla("qwen2")[2])


def test_a_sidecar_of_another_width_is_refused(nla: Nla, tmp_path: Path) -> None:
    av = shutil.copytree(nla("qwen2")[1], tmp_path / "av")
    sidecar = av / "nla_meta.yaml"
    sidecar.write_text(sidecar.read_text().replace("d_model: 32", "d_model: 64"))
    with pytest.raises(CheckpointError, match="hidden_size 32"):
        TransformersVerbalizer(av)


@pytest.mark.parametrize(("stop", "expected"), [([7, 9], (7, 9)), (7, (7,)), (None, (2,))])
def test_stop_ids_come_from_the_generation_config_else_the_tokenizer(
    nla: Nla, tmp_path: Path, stop: object, expected: tuple[int, ...]
) -> None:
    av = shutil.copytree(nla("qwen2")[1], tmp_path / "av")
    for name in ("generation_config.json", "config.json"):
        file = av / name
        file.write_text(json.dumps(json.loads(file.read_text()) | {"eos_token_id": stop}))
    assert TransformersVerbalizer(av, layout=SMALL).stop_ids == expected


@pytest.mark.parametrize("stop", ["x", ["x"], []])
def test_a_stop_id_that_is_no_token_id_is_refused(nla: Nla, tmp_path: Path, stop: object) -> None:
    av = shutil.copytree(nla("qwen2")[1], tmp_path / "av")
    file = av / "generation_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"eos_token_id": stop}))
    with pytest.raises(CheckpointError, match="eos_token_id"):
        TransformersVerbalizer(av, layout=SMALL)


def test_the_injection_can_be_given(nla: Nla) -> None:
    av = nla("qwen2")[1]
    raw = TransformersVerbalizer(av, layout=SMALL, injection="replace@embedding=raw")
    scaled = TransformersVerbalizer(av, layout=SMALL, injection="replace@embedding=12")
    unit = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    assert raw.generate(unit * 12, ROWS, DRAWN) == scaled.generate(VECTORS, ROWS, DRAWN)


def test_no_slots_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        SlotLayout(slots=0)


def test_a_row_that_ends_leaves_its_slot_at_once(nla: Nla, tmp_path: Path) -> None:
    av = av_with_stops(nla, tmp_path, list(range(0, 330, 11)))
    engine = TransformersVerbalizer(av, layout=SMALL)
    vectors, names = np.tile(VECTORS, (12, 1)), [f"{at}-{row}" for at in range(12) for row in ROWS]
    found = engine.generate(vectors, names, DRAWN)
    ends = sorted(len(one.token_ids) for one in found)
    assert ends[0] + 10 < ends[-1], "lengths must differ for this test to say something"
    assert engine.decoder.steps.useful == sum(ends) - len(ends)
    assert engine.decoder.steps.useful >= 0.75 * engine.decoder.steps.slots


@pytest.mark.parametrize("top_p", [1.0, 0.9])
def test_log_probabilities_are_those_of_the_full_model(nla: Nla, top_p: float) -> None:
    av = nla("qwen2")[1]
    engine = TransformersVerbalizer(av, layout=SMALL)
    asked = Sampling(temperature=0.8, top_p=top_p, max_new_tokens=10, seed=4, logps=True)
    silent = Sampling(temperature=0.8, top_p=top_p, max_new_tokens=10, seed=4)
    answers, model, prompts = engine.generate(VECTORS, ROWS, asked), full_model(av), injected_prompts(av)
    for row, answer in enumerate(answers):
        said = torch.tensor(answer.token_ids)
        embeds_1TD = torch.cat([prompts[row], model.get_input_embeddings()(said)])[None]
        logits_TV = model(inputs_embeds=embeds_1TD).logits[0, -len(said) - 1 : -1]
        wanted = logits_TV.log_softmax(-1).gather(1, said[:, None])[:, 0]
        torch.testing.assert_close(torch.tensor(answer.logps), wanted, rtol=1e-4, atol=1e-4)
    plain = engine.generate(VECTORS, ROWS, silent)
    assert [one.token_ids for one in plain] == [one.token_ids for one in answers]
    assert {one.logps for one in plain} == {()}


def test_new_weights_give_the_answers_of_their_model(nla: Nla, tmp_path: Path) -> None:
    av, other = nla("qwen2")[1], av_of(nla, tmp_path, seed=9)
    engine = TransformersVerbalizer(av, layout=SMALL)
    before = engine.generate(VECTORS, ROWS, DRAWN)
    engine.load_weights(load_causal_lm(other, dtype=torch.float32, device="cpu").state_dict())
    wanted = TransformersVerbalizer(other, layout=SMALL).generate(VECTORS, ROWS, DRAWN)
    assert engine.generate(VECTORS, ROWS, DRAWN) == wanted != before


def av_of(nla: Nla, path: Path, seed: int) -> Path:
    """A copy of a tiny AV with other random weights."""
    av = shutil.copytree(nla("qwen2")[1], path / "other")
    rng = torch.Generator().manual_seed(seed)
    weights = load_file(av / "model.safetensors")
    noise = {name: torch.randn(one.shape, generator=rng) * one.std() for name, one in weights.items()}
    mixed = {name: one + 0.5 * noise[name] for name, one in weights.items()}
    save_file(mixed, av / "model.safetensors", metadata={"format": "pt"})
    return av


def test_weights_of_another_model_are_refused(nla: Nla) -> None:
    engine = TransformersVerbalizer(nla("qwen2")[1], layout=SMALL)
    weights = load_causal_lm(nla("qwen2")[1], dtype=torch.float32, device="cpu").state_dict()
    name = "model.layers.0.mlp.up_proj.weight"
    with pytest.raises(EngineError, match=rf"{name}: found \[3, 3\]"):
        engine.load_weights(weights | {name: torch.zeros(3, 3)})
    del weights[name]
    with pytest.raises(EngineError, match=f"{name}: found None"):
        engine.load_weights(weights)
