"""A reconstructor of every dialect, as its trainer writes it: equal to its own code's reading."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from nla_ray.config.models.reference import ModelRef
from nla_ray.config.pairs.facts import PairFacts
from nla_ray.errors import CheckpointError
from nla_ray.nla.model.heads.pickled import convert
from nla_ray.nla.model.resolve import resolve
from nla_ray.nla.preflight.run import check
from nla_ray.nla.reconstruction.reconstructor import Reconstructor
from nla_ray.pipelines.provenance import model_record
from tests.conftest import NlaDirs
from tests.nla.preflight.pairs import problems
from tests.nla.sidecar.dialects import writers
from tests.nla.sidecar.dialects.greedy import adapted
from tests.nla.sidecar.dialects.writers import Base
from tests.tiny import AR_TEMPLATE, BLOCKS, D_MODEL, LAYER, tiny_checkpoint

TEXTS = ("the model said that it was true", "a", "they had the other thing in mind, and it is not the one")


def view(ar: Path, base: Base) -> Path:
    return resolve(ModelRef.parse(f"{ar} on {base.directory}"))


def prompts(base: Base) -> list[list[int]]:
    return [base.tokenizer.encode(AR_TEMPLATE.format(explanation=text)) for text in TEXTS]


@pytest.mark.parametrize(("stripped", "blocks"), [(True, LAYER + 1), (None, LAYER + 1), (True, LAYER)])
def test_easynla(base: Base, tmp_path: Path, stripped: bool | None, blocks: int) -> None:
    critic = writers.easynla_ar(base, tmp_path / "iter_0001000", stripped=stripped, blocks=blocks)
    expected = torch.stack([critic.read(ids) for ids in prompts(base)]).numpy()
    made = Reconstructor(view(tmp_path / "iter_0001000", base)).reconstruct(TEXTS)
    np.testing.assert_allclose(made, expected, atol=2e-5)


def test_easynla_after_rl_has_its_sidecar_one_level_up(base: Base, tmp_path: Path) -> None:
    latest = tmp_path / "rl" / "critic_latest"
    critic = writers.easynla_ar(base, latest, stripped=True)
    (latest / "nla_meta.yaml").rename(latest.parent / "nla_meta.yaml")
    (latest / "saved_at_step.txt").write_text("100")
    made = Reconstructor(view(latest, base)).reconstruct(TEXTS[:1])
    np.testing.assert_allclose(made[0], critic.read(prompts(base)[0]).numpy(), atol=2e-5)


def test_easynla_with_something_else_in_its_file_is_refused(base: Base, tmp_path: Path) -> None:
    ar = tmp_path / "iter_0001000"
    writers.easynla_ar(base, ar, stripped=True)
    save_file({"backbone.model.norm.weight": torch.ones(D_MODEL)}, ar / "ar_lora_value_head.safetensors")
    with pytest.raises(CheckpointError, match="neither LoRA of its backbone nor its value head"):
        view(ar, base)


@pytest.mark.parametrize("layer", [1, LAYER])
def test_a_head_for_each_of_some_blocks(base: Base, tmp_path: Path, layer: int) -> None:
    heads = writers.at_home_ar(base, tmp_path / "ar", BLOCKS, (1, LAYER))
    model = adapted(base, tmp_path / "ar")
    with torch.no_grad():
        states = [
            model(torch.tensor([ids]), output_hidden_states=True).hidden_states for ids in prompts(base)
        ]
    expected = torch.stack([one[layer + 1][0, -1] @ heads[layer].T for one in states]).numpy()
    ar = view(tmp_path / "ar", base)
    made = Reconstructor(ar, facts=PairFacts(layer=layer)).reconstruct(TEXTS)
    np.testing.assert_allclose(made, expected, atol=5e-4)
    with pytest.raises(CheckpointError, match="no head for block 0; there are those of 1, 2"):
        Reconstructor(ar, facts=PairFacts(layer=0))


@pytest.mark.parametrize(("key", "word"), [("mean_subtract", "mean-subtracted"), ("pca_whiten", "whitened")])
def test_vectors_that_were_centred_or_whitened_are_refused(
    base: Base, tmp_path: Path, key: str, word: str
) -> None:
    writers.at_home_ar(base, tmp_path / "ar", BLOCKS, (LAYER,), **{key: True})
    with pytest.raises(CheckpointError, match=rf"training\.{key}: it reads {word} vectors"):
        Reconstructor(view(tmp_path / "ar", base), facts=PairFacts(layer=LAYER))


def test_nla_train_leaves_out_what_its_reconstructor_is(base: Base, tmp_path: Path) -> None:
    ar = writers.kameshkanna_ar(base, tmp_path / "final")
    with pytest.raises(CheckpointError, match=r"as nla-train saves it: .* save LoRA of the model itself"):
        view(ar, base)


def test_a_stack_of_gemma_4_read_below_its_block_k(tmp_path: Path) -> None:
    """The head, once it is converted, reads the output of another block than the vectors are of."""
    base, blocks = Base(tiny_checkpoint("gemma4", tmp_path / "base", seed=1)), LAYER
    weight, bias = writers.gemma_ar(base, tmp_path / "ar", blocks)
    facts = PairFacts(ar_blocks=blocks, ar_template=AR_TEMPLATE)
    with pytest.raises(CheckpointError, match="convert-head"):
        Reconstructor(view(tmp_path / "ar", base), facts=facts)
    convert(tmp_path / "ar" / "linear_head.pt", tmp_path / "ar")
    writers.out_of_wrapper(tmp_path / "ar", tmp_path / "plain")
    model = adapted(base, tmp_path / "plain")
    with torch.no_grad():
        states = [
            model(torch.tensor([ids]), output_hidden_states=True).hidden_states for ids in prompts(base)
        ]
    expected = torch.stack([one[blocks][0, -1] @ weight.T + bias for one in states]).numpy()
    made = Reconstructor(view(tmp_path / "ar", base), facts=facts).reconstruct(TEXTS)
    np.testing.assert_allclose(made, expected, atol=1e-3)


def test_a_megatron_export_reads_as_without_its_placeholders(
    nla: Callable[[str], NlaDirs], tmp_path: Path
) -> None:
    target, av, ar = nla("qwen2")
    exported = writers.megatron_ar(ar, tmp_path / "megatron")
    made = Reconstructor(exported).reconstruct(TEXTS)
    np.testing.assert_array_equal(made, Reconstructor(ar).reconstruct(TEXTS))
    assert not problems(check(*(ModelRef(path=str(one)) for one in (av, exported, target))))


@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        ("model.norm.weight", torch.full((D_MODEL,), 1.5), "not the ones of a Megatron export"),
        ("lm_head.weight", torch.eye(D_MODEL) * 2, "two value heads are in there"),
        ("lm_head.weight", torch.ones(300, D_MODEL), "this is a whole language model"),
    ],
)
def test_what_is_no_placeholder_is_refused(
    nla: Callable[[str], NlaDirs], tmp_path: Path, name: str, values: torch.Tensor, says: str
) -> None:
    exported = writers.megatron_ar(nla("qwen2")[2], tmp_path / "megatron")
    kept: dict[str, Any] = {"model.norm.weight": torch.ones(D_MODEL), "lm_head.weight": torch.eye(D_MODEL)}
    save_file(kept | {name: values}, exported / "model-megatron-compat.safetensors")
    with pytest.raises(CheckpointError, match=says):
        Reconstructor(exported)


def test_a_pickled_head_is_refused_with_the_way_out(nla: Callable[[str], NlaDirs], tmp_path: Path) -> None:
    ar = Path(shutil.copytree(nla("qwen2")[2], tmp_path / "ar"))
    (ar / "value_head.safetensors").unlink()
    torch.save({"weight": torch.eye(D_MODEL), "bias": torch.zeros(D_MODEL)}, ar / "linear_head.pt")
    with pytest.raises(CheckpointError, match=r"a pickle, which can run code.*nla-ray convert-head"):
        Reconstructor(ar)


def test_what_is_made_of_a_snapshot_is_pinned_by_its_commit(base: Base, tmp_path: Path) -> None:
    snapshot = tmp_path / "models--owner--ar" / "snapshots" / ("c" * 40)
    writers.easynla_ar(base, snapshot, stripped=True)
    ref = ModelRef.parse(f"{snapshot} on {base.directory}")
    record = model_record(ref, resolve(ref))
    assert record.commit == "c" * 40
