"""Extraction: equal to hidden_states[K+1] of the full model, for every family, batched or not."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from nla_ray.errors import CheckpointError, InputError
from nla_ray.nla.extraction import Extractor
from tests.reference import full_model, last_block_output
from tests.tiny import BLOCKS, D_MODEL, FAMILIES, tiny_checkpoint

Checkpoint = Callable[[str], Path]
LENGTHS = (30, 1, 7, 61, 12, 30, 19)


def _corpus(seed: int = 0) -> tuple[list[list[int]], list[list[int]]]:
    rng = random.Random(seed)
    documents = [[rng.randrange(5, 340) for _ in range(length)] for length in LENGTHS]
    positions = [sorted(rng.sample(range(len(ids)), min(3, len(ids)))) for ids in documents]
    return documents, positions


def _expected(directory: Path, ids: list[int], positions: list[int], layers: list[int]) -> np.ndarray:
    hidden = full_model(directory)(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states
    return torch.stack([hidden[layer + 1][0, positions] for layer in layers], dim=1).numpy()


@pytest.mark.parametrize("family", FAMILIES)
def test_vectors_equal_the_hidden_states_of_the_full_model(family: str, checkpoint: Checkpoint) -> None:
    documents, positions = _corpus()
    layers = [2, 0, 1]
    found = Extractor(checkpoint(family), layers, batch_tokens=100).extract(documents, positions)
    for ids, chosen, vectors in zip(documents, positions, found, strict=True):
        assert vectors.dtype == np.float32
        assert vectors.shape == (len(chosen), 3, D_MODEL)
        np.testing.assert_allclose(
            vectors, _expected(checkpoint(family), ids, chosen, layers), rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("family", FAMILIES)
def test_the_last_block_is_read_before_the_final_norm(family: str, checkpoint: Checkpoint) -> None:
    """transformers norms its last hidden state, so the block itself is watched."""
    documents, positions = _corpus()
    found = Extractor(checkpoint(family), [BLOCKS - 1]).extract(documents, positions)
    for ids, chosen, vectors in zip(documents, positions, found, strict=True):
        expected = last_block_output(checkpoint(family), ids)[chosen].numpy()
        np.testing.assert_allclose(vectors[:, 0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", ["qwen2", "gemma3", "mistral"])
def test_a_document_does_not_depend_on_its_neighbours(family: str, checkpoint: Checkpoint) -> None:
    documents, positions = _corpus()
    extractor = Extractor(checkpoint(family), [1], batch_tokens=300)
    together = extractor.extract(documents, positions)
    for ids, chosen, vectors in zip(documents, positions, together, strict=True):
        np.testing.assert_allclose(vectors, extractor.extract([ids], [chosen])[0], rtol=1e-5, atol=1e-5)


def test_qwen25_shape_with_sliding_upper_layers(tmp_path: Path) -> None:
    config = {"use_sliding_window": True, "sliding_window": 6, "max_window_layers": 1}
    directory = tiny_checkpoint("qwen2", tmp_path, config=config | {"tie_word_embeddings": True})
    documents, positions = _corpus()
    found = Extractor(directory, [2]).extract(documents, positions)
    for ids, chosen, vectors in zip(documents, positions, found, strict=True):
        np.testing.assert_allclose(vectors, _expected(directory, ids, chosen, [2]), rtol=1e-4, atol=1e-4)


def test_tokens_after_the_last_position_are_not_read(checkpoint: Checkpoint) -> None:
    extractor = Extractor(checkpoint("qwen2"), [1])
    documents, _ = _corpus()
    (whole,) = extractor.extract([documents[3]], [[4, 9]])
    (start,) = extractor.extract([[*documents[3][:10], 10**9]], [[4, 9]])
    np.testing.assert_array_equal(whole, start)


def test_positions_keep_their_order_and_may_repeat(checkpoint: Checkpoint) -> None:
    documents, _ = _corpus()
    extractor = Extractor(checkpoint("qwen2"), [1])
    (mixed,) = extractor.extract([documents[0]], [[9, 2, 9]])
    (sorted_,) = extractor.extract([np.array(documents[0])], [np.array([2, 9])])
    np.testing.assert_array_equal(mixed, sorted_[[1, 0, 1]])


def test_documents_without_positions_give_empty_arrays(checkpoint: Checkpoint) -> None:
    extractor = Extractor(checkpoint("qwen2"), [0, 1])
    assert extractor.extract([], []) == []
    empty, short, none = extractor.extract([[], [5, 6], [7]], [[], [1], []])
    assert empty.shape == none.shape == (0, 2, D_MODEL)
    assert short.shape == (1, 2, D_MODEL)


def test_bfloat16_is_near_float32(checkpoint: Checkpoint) -> None:
    documents, positions = _corpus()
    exact = np.concatenate(Extractor(checkpoint("qwen2"), [1]).extract(documents, positions))
    half = Extractor(checkpoint("qwen2"), [1], dtype=torch.bfloat16).extract(documents, positions)
    error = np.linalg.norm(np.concatenate(half) - exact) / np.linalg.norm(exact)
    assert 0 < error < 0.03


@pytest.mark.parametrize("layers", [[4], [-1], [0, 7]])
def test_a_layer_out_of_range_is_refused_with_the_range(layers: list[int], checkpoint: Checkpoint) -> None:
    with pytest.raises(CheckpointError, match=rf"K={max(layers, key=abs)} is out of range.*allowed 0\.\.3"):
        Extractor(checkpoint("qwen2"), layers)


def test_no_layer_is_refused(checkpoint: Checkpoint) -> None:
    with pytest.raises(CheckpointError, match="no layer asked for"):
        Extractor(checkpoint("qwen2"), [])


@pytest.mark.parametrize(
    ("documents", "positions", "message"),
    [
        ([[5], [5, 6]], [[0], [2]], r"document 1: position 2 .* allowed 0\.\.1"),
        ([[5], [5, 6]], [[-1], [0]], "document 0: position -1"),
        ([[]], [[0]], "document 0: position 0 .* empty"),
        ([[5, 10_000]], [[1]], "document 0: token id 10000"),
        ([[5, -3]], [[1]], "document 0: token id -3"),
        ([[5]], [], "1 documents but 0 lists"),
    ],
)
def test_bad_documents_are_named(
    documents: list[list[int]], positions: list[list[int]], message: str, checkpoint: Checkpoint
) -> None:
    with pytest.raises(InputError, match=message):
        Extractor(checkpoint("qwen2"), [0]).extract(documents, positions)


@pytest.mark.gpu
@pytest.mark.parametrize("family", FAMILIES)
def test_cuda_equals_cpu(family: str, checkpoint: Checkpoint) -> None:
    documents, positions = _corpus()
    cpu = Extractor(checkpoint(family), [1]).extract(documents, positions)
    gpu = Extractor(checkpoint(family), [1], device="cuda").extract(documents, positions)
    np.testing.assert_allclose(np.concatenate(gpu), np.concatenate(cpu), rtol=2e-3, atol=2e-3)
