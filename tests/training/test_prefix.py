"""A prefix that is run once gives every row what it would have by itself, and the same gradient."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from nla_ray.config.training.lora import Lora
from nla_ray.training import models
from nla_ray.training.lora import Adapting
from nla_ray.training.models import TrainableAR, TrainableAV, load_ar, load_av
from nla_ray.training.prefix import common_prefix, shares
from tests.nla.engines.verbalizer_contract import av_with_injection

NlaDirs = tuple[Path, Path, Path]
TOKENS = torch.tensor([[5, 6, 7, 8], [9, 10, 11, 0], [4, 0, 0, 0]])
LENGTHS = torch.tensor([4, 3, 1])
Found = tuple[torch.Tensor, dict[str, torch.Tensor]]


def gradient(model: TrainableAV | TrainableAR, *given: torch.Tensor) -> Found:
    """What the model says, and the gradient of a sum of it in which no two values weigh the same."""
    said = model(*given)
    weights = torch.linspace(0.5, 2, said.numel()).view_as(said)
    (said * weights).sum().backward()
    named = {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}
    model.zero_grad()
    return said.detach(), named


def alone(model: TrainableAV | TrainableAR, monkeypatch: pytest.MonkeyPatch, *given: torch.Tensor) -> Found:
    """The same with every row run in full."""
    with monkeypatch.context() as patch:
        patch.setattr(models, "shares", lambda *_: False)
        return gradient(model, *given)


def close(one: Found, other: Found) -> bool:
    """Within 1e-5 of the largest value of each tensor."""
    (said, named), (said_too, named_too) = one, other
    pairs = [(said, said_too), *((grad, named_too[name]) for name, grad in named.items())]
    return named.keys() == named_too.keys() and all(
        float((left - right).abs().max()) <= 1e-5 * float(right.abs().max().clamp(min=1))
        for left, right in pairs
    )


@pytest.mark.parametrize(
    ("family", "injection", "lora"),
    [
        ("qwen2", None, False), ("qwen2", None, True), ("gemma2", None, False), ("gemma3", None, False),
        ("mistral", None, False), ("llama", "add_matched@output:1", False), ("qwen2", "add@input:2=3", True),
    ],
)  # fmt: skip
def test_the_verbalizer_says_and_learns_the_same(
    family: str, injection: str | None, lora: bool, nla: Callable[[str], NlaDirs], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    _, av, _ = nla(family)
    av = av if injection is None else av_with_injection(nla, tmp_path, injection, family)
    model = load_av(av, lora=Adapting(Lora(rank=4), torch.float32, seed=0) if lora else None)
    assert model.prompt.slots[0] > 1 and shares(model, model.lm.get_decoder())
    vectors = np.random.default_rng(0).standard_normal((3, model.sidecar.d_model)).astype(np.float32)
    given = (torch.from_numpy(vectors), TOKENS, LENGTHS)
    assert close(gradient(model, *given), alone(model, monkeypatch, *given))


@pytest.mark.parametrize("family", ["qwen2", "gemma3"])
def test_the_reconstructor_reads_and_learns_the_same(
    family: str, nla: Callable[[str], NlaDirs], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_ar(nla(family)[2])
    prompts = [torch.tensor(one) for one in model.prompts(["true", "the other one", "mind"])]
    ids_BT = torch.nn.utils.rnn.pad_sequence(prompts, batch_first=True)
    lengths_B = torch.tensor([len(one) for one in prompts])
    assert common_prefix(ids_BT, lengths_B) > 1
    assert close(gradient(model, ids_BT, lengths_B), alone(model, monkeypatch, ids_BT, lengths_B))


def test_a_row_keeps_a_token_after_the_prefix() -> None:
    ids_BT = torch.tensor([[1, 2, 3, 0], [1, 2, 3, 4]])
    assert common_prefix(ids_BT, torch.tensor([3, 4])) == 2
    assert common_prefix(ids_BT + torch.tensor([[0], [1]]), torch.tensor([3, 4])) == 0


def test_blocks_that_are_run_again_share_nothing(nla: Callable[[str], NlaDirs]) -> None:
    model = load_av(nla("qwen2")[1], checkpointing=True)
    assert not shares(model, model.lm.get_decoder())
