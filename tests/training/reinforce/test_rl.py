"""The RL step on tiny models: what sampler and trainer share, what moves, what stops it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from nla_ray.config.models.reference import ModelRef
from nla_ray.config.training.lora import Lora
from nla_ray.config.training.reinforce import Guards, Reinforce
from nla_ray.errors import InputError, TrainingError
from nla_ray.nla.engines.slots import SlotLayout
from nla_ray.nla.engines.transformers import TransformersVerbalizer
from nla_ray.nla.model.resolve import resolve
from nla_ray.nla.reconstruction.fidelity import Baseline
from nla_ray.training.data import InMemory
from nla_ray.training.heldout import HeldOut
from nla_ray.training.lora import Adapting
from nla_ray.training.models import load_ar, load_av
from nla_ray.training.reinforce.rl import RlLearner
from nla_ray.training.reinforce.rollout import LocalSampler
from nla_ray.training.sft import Setting
from nla_ray.training.world import World

pytestmark = pytest.mark.slow

LENIENT = Guards(unclosed=1.0, mean_tokens=(0, 1000), cjk=1.0, loops=1.0, gap=-10)
"""Random models write what they like; the importance ratio must be 1 all the same."""
SETTINGS = Reinforce(
    steps=4, vectors=2, group=3, av_lr=1e-3, ar_lr=1e-3, warmup=0, max_new_tokens=64, micro_batch=4,
    guards=LENIENT,
)  # fmt: skip
SHORT = SETTINGS.model_copy(update={"max_new_tokens": 6})
Dirs = tuple[Path, Path, Path]


@pytest.fixture(scope="module")
def demo() -> Dirs:
    """The shipped pair: its answers end, whatever the vector, so that their rewards differ."""
    target, av, ar = (resolve(ModelRef(path=f"demo:{part}")) for part in ("target", "av", "ar"))
    return target, av, ar


def vectors(n: int, d: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def learner(
    dirs: Dirs, settings: Reinforce = SETTINGS, *, scale: float | None = None, lora: Adapting | None = None
) -> RlLearner:
    """On (target, AV, AR); `scale` is another injection scale for the sampler alone."""
    _, av, ar = dirs
    engine = TransformersVerbalizer(
        av,
        layout=SlotLayout(slots=4),
        injection=None if scale is None else f"replace@embedding={scale}",
    )
    held = vectors(6, engine.d_model, 1)
    held_out = HeldOut(held, np.roll(held, 3, 0), [f"held-{row}" for row in range(6)], [None] * 6)
    setting = Setting(
        world=World(), dtype=torch.float32, seed=3, parallel="ddp", baseline=Baseline(0.9, "a test", 9)
    )
    return RlLearner(
        load_av(av, lora=lora), load_ar(ar, lora=lora), None if lora else load_av(av), LocalSampler(engine),
        InMemory("rl", vectors(9, engine.d_model, 2)), held_out, settings, setting,
    )  # fmt: skip


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(left: Mapping[str, torch.Tensor], right: Mapping[str, torch.Tensor]) -> bool:
    return all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("family", ["qwen2", "qwen3", "gemma2", "gemma3", "llama", "mistral", "gpt2"])
def test_sampler_and_trainer_inject_the_same(family: str, nla: Callable[[str], Dirs]) -> None:
    found = learner(nla(family), SHORT).step(0)
    assert found["ratio"] == pytest.approx(1, abs=1e-4)
    assert found["log_ratio"] < 1e-4


class Stale(LocalSampler):
    """A sampler that forgets to take new weights."""

    def update(self, weights: Mapping[str, torch.Tensor]) -> None:
        return


def test_the_sampler_has_the_new_weights_after_every_step(demo: Dirs) -> None:
    one = learner(demo)
    for n in range(2):
        assert one.step(n)["log_ratio"] < 1e-4
    one.sampler = Stale(TransformersVerbalizer(demo[1], layout=SlotLayout(slots=4)))
    assert one.step(2)["log_ratio"] > 1e-2


def test_the_reference_of_adapters_is_the_base_that_never_moves(demo: Dirs) -> None:
    settings = SETTINGS.model_copy(update={"av_lr": 1e-2})
    one = learner(demo, settings, lora=Adapting(Lora(rank=4), torch.float32, seed=0))
    before = weights(one.av.model)
    first = one.step(0)
    assert first["kl"] == 0 and first["ratio"] == pytest.approx(1, abs=1e-4)
    second = one.step(1)
    assert second["kl"] > 1e-4, "the policy moved away from its base"
    assert second["log_ratio"] < 1e-4, "the sampler has the merged weights"
    after = one.av.model.state_dict()
    assert {name for name in before if not torch.equal(before[name], after[name])} == {
        name for name in before if ".lora_" in name
    }
    assert sum(len(trained.optimizer.state) for trained in (one.av, one.ar)) == 84 + 57


def test_a_sampler_that_injects_something_else_is_noticed(demo: Dirs) -> None:
    settings = SETTINGS.model_copy(
        update={"guards": LENIENT.model_copy(update={"ratio": 0.01, "patience": 1})}
    )
    with pytest.raises(TrainingError, match="do not inject the same"):
        learner(demo, settings, scale=0.5).step(0)


def test_a_step_is_a_function_of_state_and_number(demo: Dirs) -> None:
    first, second = learner(demo), learner(demo)
    history = [first.step(n) for n in range(3)]
    assert [second.step(n) for n in range(2)] == history[:2]
    resumed = learner(demo)
    for name, state in resumed.state().items():
        state.load_state_dict(second.state()[name].state_dict())
    assert resumed.step(2) == history[2]


def test_both_models_move_and_the_reference_does_not(demo: Dirs) -> None:
    one = learner(demo)
    av, ar, reference = (weights(model) for model in (one.av.model, one.ar.model, one.reference))
    assert one.step(0)["kl"] == pytest.approx(0, abs=1e-6)
    assert one.step(1)["kl"] > 0
    assert not same(av, one.av.model.state_dict())
    assert same(reference, one.reference.state_dict())
    assert same(ar, one.ar.model.state_dict()) == (one.step(2)["unclosed"] == 1)


def test_micro_batches_change_nothing(demo: Dirs) -> None:
    whole = learner(demo, SETTINGS.model_copy(update={"micro_batch": 6}))
    parts = learner(demo, SETTINGS.model_copy(update={"micro_batch": 4}))
    for n in range(2):
        assert whole.step(n) == pytest.approx(parts.step(n), rel=1e-3, abs=1e-5)


def test_every_activation_comes_once_before_any_comes_again(demo: Dirs) -> None:
    one = learner(demo, SETTINGS.model_copy(update={"vectors": 3}))
    epoch = [row for n in range(3) for row in one._batch(n).rows.tolist()]
    assert sorted(epoch) == list(range(9))
    assert epoch != list(range(9))


def test_the_other_activation_of_a_vector_is_another_one(demo: Dirs) -> None:
    batch = learner(demo)._batch(0)
    assert not (batch.vectors_VD == batch.others_VD).all(dim=1).any()


def test_answers_that_never_close_teach_the_reconstructor_nothing_and_trip_the_guard(demo: Dirs) -> None:
    guards = LENIENT.model_copy(update={"unclosed": 0.5, "patience": 2})
    one = learner(demo, SETTINGS.model_copy(update={"max_new_tokens": 2, "guards": guards}))
    before = weights(one.ar.model)
    assert one.step(0)["reward"] == -2.0
    assert same(before, one.ar.model.state_dict())
    with pytest.raises(TrainingError, match="100% of the answers are unfinished"):
        one.step(1)


def test_evaluation_is_repeatable_and_moves_nothing(demo: Dirs) -> None:
    one = learner(demo)
    before = weights(one.av.model)
    assert one.evaluate() == one.evaluate()
    assert same(before, one.av.model.state_dict())
    assert {"fve_nrm", "shuffled", "unclosed"} <= set(one.evaluate())


def test_too_few_activations_are_refused(demo: Dirs) -> None:
    with pytest.raises(InputError, match=r"9 activations to train on and 6 held out; at least 16 and 1"):
        learner(demo, SETTINGS.model_copy(update={"vectors": 16}))
