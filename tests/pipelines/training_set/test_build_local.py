"""Training sets that a language model on this machine explains: it is asked, and known by its weights."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nla_ray.config.models.reference import ModelRef
from nla_ray.errors import ConfigError
from nla_ray.pipelines.training_set.build import build_training_set
from nla_ray.store.places.tree import Tree
from tests.training_sets import config, tables, text, write_corpus

Target = Callable[[str], Path]


def test_a_local_model_explains(tmp_path: Path, checkpoint: Target) -> None:
    """A model of random weights says nothing that counts, but it is asked, and its answers are kept."""
    write_corpus(tmp_path)
    provider = {
        "kind": "local",
        "model": str(checkpoint("llama")),
        "answer_tokens": 16,
        "max_chars": 100,
        "batch": 7,
    }
    settings = config(
        tmp_path,
        checkpoint("qwen2"),
        provider=provider,
        shares={"av_sft": 0, "ar_sft": 0, "rl": 0.8, "held_out": 0.2},
    )
    made = build_training_set(settings).set
    held = tables(settings.output)["held_out"]
    assert made.explaining.dropped == {"no closing tag": held.num_rows} and made.explaining.explained == 0
    assert made.explaining.requests == held.num_rows == len(list(tmp_path.glob("set/work/answers/*/*.json")))
    assert set(held["response"].to_pylist()) == {None}


def test_answers_of_a_local_model_are_known_by_its_weights(tmp_path: Path, checkpoint: Target) -> None:
    """Not by its name: there may be another checkpoint at the same path, and the same one at another."""
    write_corpus(tmp_path, [text(number) for number in range(16)])
    for name, family in (("model", "llama"), ("copy", "llama"), ("other", "qwen2")):
        shutil.copytree(checkpoint(family), tmp_path / name)

    def build(output: str, model: str) -> int:
        provider = {"kind": "local", "model": str(tmp_path / model), "answer_tokens": 16, "max_chars": 100}
        settings = config(
            tmp_path, checkpoint("qwen2"), provider=provider, output=str(tmp_path / output),
            answers=str(tmp_path / "answers"),
            shares={"av_sft": 0, "ar_sft": 0, "rl": 0.7, "held_out": 0.3},
        )  # fmt: skip
        return build_training_set(settings).set.explaining.requests

    asked = build("first", "model")
    assert asked > 0 and build("second", "copy") == 0
    (tmp_path / "model").rename(tmp_path / "model-before")
    (tmp_path / "other").rename(tmp_path / "model")
    with pytest.raises(ConfigError, match=r"it differs in weights.provider.sha256 \(.*\): set that back"):
        build("first", "model")
    assert build("third", "model") == asked
    write_corpus(tmp_path, [text(number) for number in range(17)])
    with pytest.raises(ConfigError, match="it differs in the content of the corpus: set that back"):
        build("third", "model")


def test_models_on_s3_are_those_of_a_folder_with_the_same_files(
    tmp_path: Path, checkpoint: Target, s3: str
) -> None:
    """Target and explainer: no answer is paid for twice, for it is known by the same weights."""
    write_corpus(tmp_path, [text(number) for number in range(16)])
    for name in ("qwen2", "llama"):
        for file in checkpoint(name).iterdir():
            Tree(s3).write(f"{name}/{file.name}", file.read_bytes())

    def build(output: str, target: str, model: str) -> int:
        provider = {"kind": "local", "model": model, "answer_tokens": 16, "max_chars": 100}
        settings = config(
            tmp_path, checkpoint("qwen2"), provider=provider, output=str(tmp_path / output),
            answers=str(tmp_path / "answers"), shares={"av_sft": 0, "ar_sft": 0, "rl": 0.7, "held_out": 0.3},
        )  # fmt: skip
        named = settings.model_copy(update={"target": ModelRef.parse(target)})
        return build_training_set(named).set.explaining.requests

    assert build("here", str(checkpoint("qwen2")), str(checkpoint("llama"))) > 0
    assert build("there", f"{s3}/qwen2", f"{s3}#llama") == 0
