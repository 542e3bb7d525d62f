"""Adapters: at first nothing changes, only they train, the base stays, merged weights say the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from nla_ray.config.training.lora import Lora
from nla_ray.errors import ConfigError
from nla_ray.nla.engines.slots import SlotLayout
from nla_ray.nla.engines.transformers import TransformersVerbalizer
from nla_ray.nla.model.backbone import load_causal_lm
from nla_ray.nla.model.blocks.stack import find_stack
from nla_ray.nla.reconstruction.reconstructor import Reconstructor
from nla_ray.nla.verbalizer import Sampling
from nla_ray.training.loop.optim import Trained, adamw
from nla_ray.training.lora import Adapting, adapt, scales_of, whole_state, without_adapters
from nla_ray.training.models import TrainableAR, TrainableAV, load_ar, load_av
from nla_ray.training.saved.release import of_lm, write_ar, write_av

NlaDirs = tuple[Path, Path, Path]
FAMILIES = ("qwen2", "gemma3_mm")
ADAPTING = Adapting(Lora(rank=4, alpha=8.0), torch.float32, seed=5)
TOKENS = torch.tensor([[5, 6, 7, 8], [9, 10, 11, 0]])
LENGTHS = torch.tensor([4, 3])


def moved(model: TrainableAV | TrainableAR) -> TrainableAV | TrainableAR:
    """The model with adapters that do something."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".lora_B." in name:
                parameter.normal_(std=0.1)
    return model


def vectors(model: TrainableAV, n: int = 2) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, model.sidecar.d_model)).astype(np.float32)


@pytest.mark.parametrize("family", FAMILIES)
def test_new_adapters_change_nothing_and_moved_ones_can_be_switched_off(
    family: str, nla: Callable[[str], NlaDirs]
) -> None:
    _, av, _ = nla(family)
    whole, model = load_av(av), load_av(av, lora=ADAPTING)
    given = (torch.from_numpy(vectors(whole)), TOKENS, LENGTHS)
    plain_BT = whole(*given)
    assert torch.equal(model(*given), plain_BT)
    moved(model)
    assert not torch.allclose(model(*given), plain_BT, atol=1e-3)
    with without_adapters(model), torch.no_grad():
        assert torch.equal(model(*given), plain_BT)
    assert [one for one in model.parameters() if one.requires_grad], "they train on"


def test_a_step_moves_adapters_and_the_head_alone(nla: Callable[[str], NlaDirs]) -> None:
    model = load_ar(nla("qwen2")[2], lora=ADAPTING)
    before = {name: one.clone() for name, one in model.state_dict().items()}
    trained = Trained(model, adamw(model))
    ids = torch.tensor(model.prompts(["true", "mind"]))
    for _ in range(2):
        model(ids, torch.full((2,), ids.shape[1])).sum().backward()
        trained.move(0.01, 1.0)
    after = model.state_dict()
    still = {name for name in before if torch.equal(before[name], after[name])}
    assert {name for name in before if ".lora_" not in name and name != "head.weight"} == still
    saved = {name for name in trained.state_dict() if name.startswith("model.")}
    assert saved == {f"model.{name}" for name in before if name not in still}
    other = load_ar(nla("qwen2")[2], lora=Adapting(ADAPTING.options, torch.float32, seed=6))
    again = Trained(other, adamw(other))
    again.load_state_dict(trained.state_dict())
    assert all(torch.equal(one, after[name]) for name, one in other.state_dict().items())
    assert trained.state_dict().keys() == again.state_dict().keys()


@pytest.mark.parametrize("family", FAMILIES)
def test_an_engine_with_the_merged_weights_draws_what_the_model_finds_likely(
    family: str, nla: Callable[[str], NlaDirs], tmp_path: Path
) -> None:
    model = load_av(nla(family)[1], lora=ADAPTING)
    moved(model)
    engine = TransformersVerbalizer(nla(family)[1], layout=SlotLayout(slots=4))
    engine.load_weights(of_lm(whole_state(model)))
    drawn = engine.generate(vectors(model), ["a", "b"], Sampling(max_new_tokens=4, logps=True))
    answers = torch.tensor([one.token_ids for one in drawn])
    logps_BT = model(torch.from_numpy(vectors(model)), answers, torch.tensor([4, 4]))
    assert np.allclose(logps_BT.detach(), [one.logps for one in drawn], atol=1e-4)
    write_av(tmp_path / "av", model, whole_state(model), model.sidecar)
    released = load_av(tmp_path / "av")
    given = (torch.from_numpy(vectors(model)), TOKENS, LENGTHS)
    assert torch.allclose(released(*given), model(*given), atol=1e-5)


def test_a_released_reconstructor_reads_as_the_one_with_adapters(
    nla: Callable[[str], NlaDirs], tmp_path: Path
) -> None:
    model = load_ar(nla("qwen2")[2], lora=ADAPTING)
    moved(model)
    write_ar(tmp_path / "ar", model, whole_state(model), model.sidecar)
    ids = torch.tensor(model.prompts(["true"]))
    read = model(ids, torch.tensor([ids.shape[1]])).detach()
    assert np.allclose(read, Reconstructor(tmp_path / "ar").reconstruct(["true"]), atol=1e-5)


def test_the_start_is_that_of_the_seed_and_leaves_torch_its_own(nla: Callable[[str], NlaDirs]) -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    one, two = (load_av(nla("qwen2")[1], lora=ADAPTING).state_dict() for _ in range(2))
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(one[name], two[name]) for name in one)
    other = load_av(nla("qwen2")[1], lora=Adapting(ADAPTING.options, torch.float32, seed=6)).state_dict()
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_a_frozen_base_in_bfloat16_has_adapters_in_float32(nla: Callable[[str], NlaDirs]) -> None:
    model = load_av(nla("qwen2")[1], lora=Adapting(ADAPTING.options, torch.bfloat16, seed=5))
    kinds = {(one.requires_grad, one.dtype) for one in model.parameters()}
    assert kinds == {(True, torch.float32), (False, torch.bfloat16)}


def test_named_targets_alone_are_adapted_and_others_are_refused(nla: Callable[[str], NlaDirs]) -> None:
    def load(*targets: str) -> set[str]:
        model = load_av(nla("qwen2")[1], lora=Adapting(Lora(targets=targets), torch.float32, seed=0))
        return {name.split(".")[-4] for name, one in model.named_parameters() if one.requires_grad}

    assert load("q_proj", "v_proj") == {"q_proj", "v_proj"}
    with pytest.raises(ConfigError, match=r"lora.targets: 'lm_head' is no .* which have down_proj"):
        load("q_proj", "lm_head")


def test_transposed_matrices_are_not_adapted(nla: Callable[[str], NlaDirs]) -> None:
    with pytest.raises(ConfigError, match=r"lora: the blocks of gpt2 keep .* \(Conv1D\).*; leave lora out"):
        load_av(nla("gpt2")[1], lora=ADAPTING)


def test_of_a_mixture_of_experts_linear_layers_alone_are_adapted(nla: Callable[[str], NlaDirs]) -> None:
    whole, model = load_av(nla("qwen3_moe")[1]), load_av(nla("qwen3_moe")[1], lora=ADAPTING)
    assert set(whole_state(model)) == set(whole.state_dict())
    assert {name.rpartition(".")[2] for name in scales_of(model)} == {"q_proj", "k_proj", "v_proj", "o_proj"}


def test_a_family_whose_layers_take_no_adapter_is_refused(checkpoint: Callable[[str], Path]) -> None:
    model = load_causal_lm(checkpoint("nemotron_h"), dtype=torch.float32, device="cpu")
    with pytest.raises(ConfigError, match=r"lora: nemotron_h cannot be adapted: .*out_proj"):
        adapt(model, find_stack(model).blocks, ADAPTING)
