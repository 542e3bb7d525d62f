"""The models while they train do what the engines do: the same prompt, the same injection, the same head."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from nla_ray.errors import CheckpointError
from nla_ray.nla.engines.slots import SlotLayout
from nla_ray.nla.engines.transformers import TransformersVerbalizer
from nla_ray.nla.model.blocks.stack import find_stack
from nla_ray.nla.reconstruction.reconstructor import Reconstructor
from nla_ray.nla.sidecar.read import read_sidecar
from nla_ray.nla.verbalizer import Sampling
from nla_ray.training.models import end_of_turn, load_ar, load_av, new_ar
from tests.nla.engines.verbalizer_contract import av_with_injection

NlaDirs = tuple[Path, Path, Path]
FAMILIES = ("qwen2", "gemma3", "llama")


@pytest.mark.parametrize(
    ("family", "injection"),
    [
        *((family, None) for family in (*FAMILIES, "qwen3_5", "gpt_neox", "gpt2")),
        ("gemma3", "add_matched@output:1"),
        ("qwen2", "add@input:2=3"),
    ],
)
def test_the_verbalizer_knows_how_likely_the_engine_drew(
    family: str, injection: str | None, nla: Callable[[str], NlaDirs], tmp_path: Path
) -> None:
    target, av, _ = nla(family)
    av = av if injection is None else av_with_injection(nla, tmp_path, injection, family)
    engine = TransformersVerbalizer(av, layout=SlotLayout(slots=4), template_from=target)
    vectors = np.random.default_rng(0).standard_normal((2, engine.d_model)).astype(np.float32)
    drawn = engine.generate(vectors, ["a", "b"], Sampling(max_new_tokens=6, logps=True))
    model = load_av(av, template_from=target)
    lengths = torch.tensor([len(one.token_ids) for one in drawn])
    answers = torch.zeros(2, int(lengths.max()), dtype=torch.int64)
    for row, one in enumerate(drawn):
        answers[row, : len(one.token_ids)] = torch.tensor(one.token_ids)
    logps = model(torch.from_numpy(vectors), answers, lengths)
    for row, one in enumerate(drawn):
        assert logps[row, : lengths[row]].tolist() == pytest.approx(one.logps, abs=1e-4)
        assert not logps[row, lengths[row] :].any()


@pytest.mark.parametrize("family", ["qwen2", "gpt2"])
def test_blocks_that_are_run_again_say_and_learn_the_same(family: str, nla: Callable[[str], NlaDirs]) -> None:
    found = []
    for checkpointing in (False, True):
        model = load_av(nla(family)[1], checkpointing=checkpointing)
        runs: list[int] = []
        for parameterised in find_stack(model.lm).blocks[0].children():
            parameterised.register_forward_hook(lambda *_, runs=runs: runs.append(1))
        vectors = torch.linspace(-1, 1, 2 * model.sidecar.d_model).view(2, -1)
        said = model(vectors, torch.tensor([[5, 6, 7], [8, 9, 4]]), torch.tensor([3, 3]))
        before = len(runs)
        said.sum().backward()
        assert (len(runs) > before) == checkpointing, "run again in the backward pass"
        found.append((said, model.lm.get_input_embeddings().weight.grad))
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_an_injection_at_a_block_does_not_go_with_checkpointing(
    nla: Callable[[str], NlaDirs], tmp_path: Path
) -> None:
    av = av_with_injection(nla, tmp_path, "add_matched@output:1", "qwen2")
    assert load_av(av)
    with pytest.raises(CheckpointError, match="only goes with an injection at the embedding"):
        load_av(av, checkpointing=True)


def test_a_verbalizer_that_looks_up_tokens_is_not_trained(nla: Callable[[str], NlaDirs]) -> None:
    with pytest.raises(CheckpointError, match=r"gemma4_text with per-layer inputs .* not trained"):
        load_av(nla("gemma4")[1])


@pytest.mark.parametrize("family", [*FAMILIES, "qwen3_5", "gemma4", "gpt2"])
def test_the_reconstructor_reads_as_the_engine_does(family: str, nla: Callable[[str], NlaDirs]) -> None:
    _, _, ar = nla(family)
    texts, model = ["the other one", "true"], load_ar(ar)
    ids = model.prompts(texts)
    lengths = torch.tensor([len(one) for one in ids])
    padded = torch.nn.utils.rnn.pad_sequence([torch.tensor(one) for one in ids], batch_first=True)
    assert np.allclose(model(padded, lengths).detach(), Reconstructor(ar).reconstruct(texts), atol=1e-4)


def test_a_new_reconstructor_is_the_target_with_an_identity_head(nla: Callable[[str], NlaDirs]) -> None:
    target, _, ar = nla("qwen2")
    model = new_ar(target, read_sidecar(ar), checkpointing=True)
    assert torch.equal(model.head.weight, torch.eye(model.sidecar.d_model))
    ids = torch.tensor(model.prompts(["true"]))
    model(ids, torch.tensor([ids.shape[1]])).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_the_end_of_a_turn_is_what_the_chat_template_writes(nla: Callable[[str], NlaDirs]) -> None:
    model = load_av(nla("qwen2")[1])
    assert model.tokenizer.convert_ids_to_tokens(end_of_turn(model)) == "<|im_end|>"
