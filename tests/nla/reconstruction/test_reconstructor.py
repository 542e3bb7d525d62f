"""The reconstructor: equal to a plain run of the whole prompt, in any batch, prefix shared or not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from nla_ray.errors import CheckpointError, InputError
from nla_ray.nla.prompt import ar_prompt_ids, load_tokenizer
from nla_ray.nla.reconstruction.reconstructor import Reconstructor
from nla_ray.nla.sidecar.read import read_sidecar
from tests.reference import last_block_output
from tests.tiny import D_MODEL, FAMILIES, LAYER, tiny_checkpoint

Nla = Callable[[str], tuple[Path, Path, Path]]
TEXTS = [
    "the model said",
    "",
    "a thing " * 40,
    "<b>7",
    "that it was true and ㈎ not",
    "the other",
    "\n\n“in mind”",
]


@pytest.fixture
def ar_copy(nla: Nla, tmp_path: Path) -> Path:
    """A qwen2 AR directory that a test may break."""
    return Path(shutil.copytree(nla("qwen2")[2], tmp_path / "ar"))


def _expected(directory: Path, texts: list[str]) -> np.ndarray:
    """Each prompt alone, in full, by plain transformers; then the value head."""
    prompts = ar_prompt_ids(load_tokenizer(directory), read_sidecar(directory), texts)
    last = torch.stack([last_block_output(directory, ids)[-1] for ids in prompts])
    head = load_file(directory / "value_head.safetensors")
    return (last @ head["weight"].T + head.get("bias", torch.zeros(1))).numpy()


@pytest.mark.parametrize("family", FAMILIES)
def test_equal_to_a_plain_run_of_the_whole_prompt(family: str, nla: Nla) -> None:
    """The prefix is longer than the sliding window of the Gemma and Mistral models."""
    reconstructor = Reconstructor(nla(family)[2], batch_tokens=200)
    assert len(reconstructor.prefix) > 8
    found = reconstructor.reconstruct(TEXTS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, _expected(nla(family)[2], TEXTS), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_row_does_not_depend_on_its_batch(family: str, nla: Nla) -> None:
    reconstructor = Reconstructor(nla(family)[2])
    together = reconstructor.reconstruct(TEXTS)
    alone = np.concatenate([reconstructor.reconstruct([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", ["qwen2", "llama", "gemma3"])
def test_rows_without_the_shared_prefix_are_run_in_full(family: str, nla: Nla) -> None:
    """The same prompts, once after the shared prefix and once with their first token taken away."""
    directory = nla(family)[2]
    reconstructor = Reconstructor(directory)
    prompts = ar_prompt_ids(load_tokenizer(directory), reconstructor.sidecar, TEXTS)
    mixed = [ids if index % 2 else ids[1:] for index, ids in enumerate(prompts)]
    mixed.append(list(reconstructor.prefix))
    weight = load_file(directory / "value_head.safetensors")["weight"]
    expected = torch.stack([last_block_output(directory, ids)[-1] for ids in mixed]) @ weight.T
    np.testing.assert_allclose(reconstructor.reconstruct_ids(mixed), expected.numpy(), rtol=1e-4, atol=1e-4)


def test_the_prefix_is_the_template_up_to_the_slot(nla: Nla) -> None:
    reconstructor = Reconstructor(nla("llama")[2])
    text = load_tokenizer(nla("llama")[2]).decode(reconstructor.prefix)
    assert text.startswith("<|begin_of_text|>Summary of the following text: <text")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_long_text_stays_finite(dtype: torch.dtype, nla: Nla) -> None:
    reconstructor = Reconstructor(nla("gemma3")[2], dtype=dtype)
    long, short = reconstructor.reconstruct(["the model said that " * 200, "the model"])
    assert np.isfinite(long).all()
    assert 0.2 < np.linalg.norm(long) / np.linalg.norm(short) < 5


def test_no_texts_give_no_vectors(nla: Nla) -> None:
    assert Reconstructor(nla("qwen2")[2]).reconstruct([]).shape == (0, D_MODEL)


def test_a_head_with_bias_is_applied_with_it(ar_copy: Path) -> None:
    head = load_file(ar_copy / "value_head.safetensors")
    plain = Reconstructor(ar_copy).reconstruct(TEXTS)
    bias = torch.arange(D_MODEL, dtype=torch.float32)
    save_file(head | {"bias": bias}, ar_copy / "value_head.safetensors")
    np.testing.assert_allclose(Reconstructor(ar_copy).reconstruct(TEXTS), plain + bias.numpy(), atol=1e-5)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 3e38])
def test_a_corrupt_head_is_refused_by_name(value: float, ar_copy: Path) -> None:
    file = ar_copy / "value_head.safetensors"
    weight = load_file(file)["weight"]
    weight[D_MODEL // 2 :] = value
    save_file({"weight": weight}, file)
    with pytest.raises(CheckpointError, match=r"value_head\.safetensors: weight: 16 of 32 rows"):
        Reconstructor(ar_copy)


def test_a_corrupt_bias_is_refused_by_name(ar_copy: Path) -> None:
    file = ar_copy / "value_head.safetensors"
    save_file(load_file(file) | {"bias": torch.full((D_MODEL,), float("nan"))}, file)
    with pytest.raises(CheckpointError, match="bias: 32 of 32"):
        Reconstructor(ar_copy)


def test_damaged_blocks_are_refused(ar_copy: Path) -> None:
    """The head is sound: without this, every score of a run would be missing and nobody told."""
    file = ar_copy / "model.safetensors"
    weights = load_file(file)
    weights["model.layers.1.mlp.down_proj.weight"][0] = float("nan")
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="ar: a short text becomes a vector with NaN"):
        Reconstructor(ar_copy)


def test_a_tokenizer_larger_than_the_vocabulary_is_refused(ar_copy: Path) -> None:
    rows = 300
    config = json.loads((ar_copy / "config.json").read_text())
    (ar_copy / "config.json").write_text(json.dumps(config | {"vocab_size": rows}))
    weights = load_file(ar_copy / "model.safetensors")
    weights["model.embed_tokens.weight"] = weights["model.embed_tokens.weight"][:rows].clone()
    save_file(weights, ar_copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"ar: prompt 0: token id \d+ is outside the vocabulary"):
        Reconstructor(ar_copy)


@pytest.mark.parametrize("shape", [(D_MODEL, D_MODEL + 1), (D_MODEL,), (1, D_MODEL)])
def test_a_head_of_another_shape_is_refused(shape: tuple[int, ...], ar_copy: Path) -> None:
    save_file({"weight": torch.zeros(shape)}, ar_copy / "value_head.safetensors")
    with pytest.raises(CheckpointError, match=r"weight has shape .*\[32, 32\] was expected"):
        Reconstructor(ar_copy)


def test_a_missing_head_is_refused(ar_copy: Path) -> None:
    (ar_copy / "value_head.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"no value_head\.safetensors"):
        Reconstructor(ar_copy)


def test_a_verbalizer_is_refused(nla: Nla) -> None:
    with pytest.raises(CheckpointError, match="reconstructor"):
        Reconstructor(nla("qwen2")[1])


def test_another_layer_than_the_blocks_is_refused(ar_copy: Path) -> None:
    sidecar = read_sidecar(ar_copy)
    with pytest.raises(CheckpointError, match=rf"num_hidden_layers {LAYER + 1}; K\+1 = 2 was expected"):
        Reconstructor(ar_copy, replace(sidecar, layer=1))


def test_another_d_model_is_refused(ar_copy: Path) -> None:
    with pytest.raises(CheckpointError, match=r"d_model 64, its config\.json hidden_size 32"):
        Reconstructor(ar_copy, replace(read_sidecar(ar_copy), d_model=64))


def test_a_drifted_suffix_is_refused(ar_copy: Path) -> None:
    with pytest.raises(CheckpointError, match="critic_suffix_ids"):
        Reconstructor(ar_copy, replace(read_sidecar(ar_copy), ar_suffix_ids=(1, 2, 3)))


@pytest.mark.parametrize(
    ("ids", "message"), [([], "prompt 1: it is empty"), ([9999], "prompt 1: token id 9999")]
)
def test_bad_prompts_are_named(ids: list[int], message: str, nla: Nla) -> None:
    with pytest.raises(InputError, match=message):
        Reconstructor(nla("qwen2")[2]).reconstruct_ids([[5], ids])


def test_a_full_model_is_not_a_reconstructor(tmp_path: Path, ar_copy: Path) -> None:
    target = tiny_checkpoint("qwen2", tmp_path / "target")
    for name in ("nla_meta.yaml", "value_head.safetensors"):
        shutil.copy(ar_copy / name, target / name)
    with pytest.raises(CheckpointError, match="num_hidden_layers 4"):
        Reconstructor(target)


@pytest.mark.gpu
@pytest.mark.parametrize("family", FAMILIES)
def test_cuda_equals_cpu(family: str, nla: Nla) -> None:
    cpu = Reconstructor(nla(family)[2]).reconstruct(TEXTS)
    gpu = Reconstructor(nla(family)[2], device="cuda").reconstruct(TEXTS)
    np.testing.assert_allclose(gpu, cpu, rtol=2e-3, atol=2e-3)
