"""Sentences as vectors, by random encoders that transformers saved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel

from nla_ray.config.models.reference import ModelRef
from nla_ray.errors import CheckpointError
from nla_ray.nla.model.backbone import alone
from nla_ray.pipelines.audit.embedder import Embedder
from tests.tiny import tiny_checkpoint, tiny_tokenizer

TEXTS = [
    "It speaks of the tide.", "Said.", "the model said that it was true " * 9, "", "Said.", "Another thing!",
]  # fmt: skip


def tiny_encoder(path: Path, *, seed: int = 0) -> Path:
    """Save a random BERT without pooler; its weights are large enough to tell texts apart."""
    tokenizer = tiny_tokenizer("qwen2")
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=48, max_position_embeddings=64, pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.5,
    )  # fmt: skip
    torch.manual_seed(seed)
    with alone():
        BertModel(config, add_pooling_layer=False).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture(params=["bert", "qwen2"])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    place = tmp_path / "encoder"
    return tiny_encoder(place) if request.param == "bert" else tiny_checkpoint("qwen2", place)


def embedder(directory: Path) -> Embedder:
    return Embedder(ModelRef(path=str(directory)))


def test_equal_texts_are_equal_and_others_are_not(directory: Path) -> None:
    vectors = embedder(directory)(TEXTS)
    assert vectors.shape == (6, 32) and vectors.dtype == np.float32
    near = vectors @ vectors.T
    assert (vectors[1] == vectors[4]).all()
    assert np.diag(near) == pytest.approx([1, 1, 1, 0, 1, 1], abs=1e-6)
    assert near[1, 0] < 0.999 and near[1, 5] < 0.999


def test_neither_order_nor_company_matters(directory: Path) -> None:
    embed = embedder(directory)
    together = embed(TEXTS)
    assert (embed(TEXTS[::-1])[::-1] == together).all()
    alone = np.concatenate([embed([text]) for text in TEXTS])
    np.testing.assert_allclose(alone, together, atol=1e-5)
    many = [f"{text} {number}" for number in range(30) for text in TEXTS]
    np.testing.assert_allclose(embed(many)[100:110], embed(many[100:110]), atol=1e-5)


def test_it_is_the_mean_over_tokens(tmp_path: Path) -> None:
    place = tiny_encoder(tmp_path / "encoder")
    text = TEXTS[0]
    with alone():
        model = BertModel.from_pretrained(place, add_pooling_layer=False).eval()
    states = model(**tiny_tokenizer("qwen2")(text, return_tensors="pt")).last_hidden_state
    mean = states[0].mean(dim=0)
    expected = (mean / mean.norm()).detach().numpy()
    np.testing.assert_allclose(embedder(place)([text, TEXTS[2]])[0], expected, atol=1e-5)


def test_what_is_longer_than_the_model_can_read_is_cut(tmp_path: Path) -> None:
    embed = embedder(tiny_encoder(tmp_path / "encoder"))
    start = "said " * 64
    long, longer = embed([start + "true", start + "they had in mind"])
    assert (long == longer).all()


def test_the_record_is_of_the_weights(tmp_path: Path) -> None:
    first, same, other = (
        embedder(tiny_encoder(tmp_path / str(at), seed=seed)).record for at, seed in enumerate((1, 1, 2))
    )
    assert first.sha256 == same.sha256 != other.sha256


def spoil_pickles(place: Path) -> None:
    (place / "model.safetensors").rename(place / "pytorch_model.bin")


def spoil_adapter(place: Path) -> None:
    (place / "adapter_config.json").write_text(
        '{"peft_type": "LORA", "base_model_name_or_path": "/elsewhere"}'
    )


def spoil_config(place: Path) -> None:
    (place / "config.json").write_text("{}")


def spoil_tensor(place: Path) -> None:
    weights = load_file(place / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, place / "model.safetensors", metadata={"format": "pt"})


def spoil_number(place: Path) -> None:
    weights = load_file(place / "model.safetensors")
    weights["encoder.layer.1.output.dense.bias"][0] = float("nan")
    save_file(weights, place / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoil_pickles, "safetensors"),
        (spoil_adapter, "an adapter .* not loaded as an embedder"),
        (spoil_config, "not an encoder"),
        (spoil_tensor, "1 tensors are missing"),
        (spoil_number, "not finite"),
    ],
)
def test_what_is_no_encoder_is_refused(tmp_path: Path, spoil: object, words: str) -> None:
    place = tiny_encoder(tmp_path / "encoder")
    spoil(place)  # type: ignore[operator]
    with pytest.raises(CheckpointError, match=words) as refused:
        embedder(place)(TEXTS)
    assert "\n" not in str(refused.value)
