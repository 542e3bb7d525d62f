"""A released directory loads as what was trained, and others may read it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from nla_ray.config.models.injection import Injection
from nla_ray.errors import CheckpointError
from nla_ray.nla.engines.transformers import TransformersVerbalizer
from nla_ray.nla.reconstruction.reconstructor import Reconstructor
from nla_ray.nla.sidecar.read import read_sidecar
from nla_ray.nla.sidecar.write import write_sidecar
from nla_ray.nla.verbalizer import Sampling
from nla_ray.training.models import load_ar, load_av, new_ar, new_av
from nla_ray.training.saved.release import write_ar, write_av
from nla_ray.training.world import full_state
from tests.tiny import BLOCKS, D_MODEL, LAYER

Dirs = tuple[Path, Path, Path]
TOKENS = ("token_id", "left_neighbor_id", "right_neighbor_id")


@pytest.mark.parametrize("family", ["qwen2", "gemma3_mm"])
def test_a_written_verbalizer_says_what_it_said(
    nla: Callable[[str], Dirs], tmp_path: Path, family: str
) -> None:
    model = load_av(nla(family)[1])
    write_av(tmp_path / "av", model, full_state(model), model.sidecar)
    vectors = np.random.default_rng(0).standard_normal((3, model.sidecar.d_model)).astype(np.float32)
    answers = [
        TransformersVerbalizer(av).generate(vectors, ["a", "b", "c"], Sampling(max_new_tokens=8))
        for av in (nla(family)[1], tmp_path / "av")
    ]
    assert answers[0] == answers[1]


def test_a_centred_verbalizer_keeps_its_mean_and_trains_as_it_decodes(
    nla: Callable[[str], Dirs], tmp_path: Path
) -> None:
    av = shutil.copytree(nla("qwen2")[1], tmp_path / "from")
    centred = Injection.parse("replace@embedding=12,centred", D_MODEL)
    write_sidecar(av, replace(read_sidecar(av), injection=centred))
    with pytest.raises(CheckpointError, match=r"no injection_mean\.safetensors"):
        load_av(av)
    save_file({"mean": torch.linspace(-1, 1, D_MODEL)}, av / "injection_mean.safetensors")
    model = load_av(av)
    write_av(tmp_path / "av", model, full_state(model), model.sidecar)
    vectors = np.random.default_rng(0).standard_normal((3, D_MODEL)).astype(np.float32)
    sampling = Sampling(max_new_tokens=8, logps=True)
    found, again = (
        TransformersVerbalizer(one).generate(vectors, ["a", "b", "c"], sampling)
        for one in (av, tmp_path / "av")
    )
    assert found == again
    lengths_B = torch.tensor([len(one.token_ids) for one in found])
    answers_BT = torch.zeros(3, 8, dtype=torch.long)
    for row, one in enumerate(found):
        answers_BT[row, : len(one.token_ids)] = torch.tensor(one.token_ids)
    with torch.no_grad():
        logp_BT = model.eval()(torch.from_numpy(vectors), answers_BT, lengths_B)
    for row, one in enumerate(found):
        np.testing.assert_allclose(logp_BT[row, : len(one.logps)], one.logps, atol=1e-4)


@pytest.mark.parametrize("family", ["qwen2", "gemma3_mm", "gpt_neox", "gpt2"])
def test_a_written_reconstructor_reads_what_it_read(
    nla: Callable[[str], Dirs], tmp_path: Path, family: str
) -> None:
    model = load_ar(nla(family)[2])
    write_ar(tmp_path / "ar", model, full_state(model), model.sidecar)
    read = [Reconstructor(ar).reconstruct(["one text", "two"]) for ar in (nla(family)[2], tmp_path / "ar")]
    np.testing.assert_allclose(read[0], read[1], rtol=1e-5, atol=1e-6)


def test_every_file_has_the_mode_of_the_others(nla: Callable[[str], Dirs], tmp_path: Path) -> None:
    model = load_ar(nla("qwen2")[2])
    write_ar(tmp_path / "ar", model, full_state(model), model.sidecar)
    (tmp_path / "plain").touch()
    assert {file.stat().st_mode for file in (tmp_path / "ar").iterdir()} == {
        (tmp_path / "plain").stat().st_mode
    }


@pytest.fixture(scope="module", params=["llama", "gemma3_mm"])
def released(
    request: pytest.FixtureRequest, nla: Callable[[str], Dirs], tmp_path_factory: pytest.TempPathFactory
) -> Dirs:
    """(target, AV, AR): a new pair of a target in bfloat16, released."""
    target, av, _ = nla(request.param)
    made = tmp_path_factory.mktemp("released")
    source = made / "target"
    shutil.copytree(target, source)
    weights = {name: one.bfloat16() for name, one in load_file(source / "model.safetensors").items()}
    save_file(weights, source / "model.safetensors", metadata={"format": "pt"})
    sidecar = read_sidecar(av)
    writer, reader = new_av(source, sidecar), new_ar(source, sidecar)
    write_av(made / "av", writer, full_state(writer), sidecar)
    write_ar(made / "ar", reader, full_state(reader), sidecar)
    return source, made / "av", made / "ar"


def test_the_reference_client_finds_its_files(released: Dirs) -> None:
    source, av, ar = released
    shared = {"config.json", "model.safetensors", "nla_meta.yaml"}
    shared |= {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}
    assert {file.name for file in av.iterdir()} == shared | {"generation_config.json"}
    assert {file.name for file in ar.iterdir()} == shared | {"value_head.safetensors"}
    for name in ("tokenizer.json", "chat_template.jinja", "generation_config.json"):
        assert (av / name).read_bytes() == (source / name).read_bytes()


def test_the_reference_client_finds_its_tensors(released: Dirs) -> None:
    _, av, ar = released
    writer, reader = (load_file(one / "model.safetensors") for one in (av, ar))
    blocks = {int(name.split(".")[2]) for name in reader if name.startswith("model.layers.")}
    assert blocks == set(range(LAYER + 1))
    assert {name for name in reader if not name.startswith("model.layers.")} == {"model.embed_tokens.weight"}
    assert [name for name in writer if name.endswith("embed_tokens.weight")] == ["model.embed_tokens.weight"]
    assert "model.norm.weight" in writer
    head = load_file(ar / "value_head.safetensors")
    assert {name: list(one.shape) for name, one in head.items()} == {"weight": [D_MODEL, D_MODEL]}
    assert {one.dtype for one in (*writer.values(), *reader.values())} == {torch.bfloat16}
    for directory, depth in ((av, BLOCKS), (ar, LAYER + 1)):
        config = json.loads((directory / "config.json").read_text())
        assert (config["num_hidden_layers"], config["torch_dtype"]) == (depth, "bfloat16")


def test_the_reference_client_finds_its_words(released: Dirs) -> None:
    _, av, ar = released
    writer, reader = (yaml.safe_load((one / "nla_meta.yaml").read_text()) for one in (av, ar))
    assert (writer["role"], reader["role"]) == ("av", "ar")
    for said in (writer, reader):
        assert_words(said)
    assert isinstance(writer["extraction"]["injection_scale"], float)
    assert reader["extraction"]["injection_scale"] is None


def assert_words(said: dict[str, Any]) -> None:
    """The keys that are read without asking whether they are there, each of its type."""
    assert (said["kind"], said["d_model"]) == ("nla_model", D_MODEL)
    assert said["extraction"]["mse_scale"] == pytest.approx(D_MODEL**0.5)
    assert said["critic"]["extraction_layer_index"] == LAYER
    tokens, templates = said["tokens"], said["prompt_templates"]
    assert all(isinstance(tokens[f"injection_{one}"], int) for one in TOKENS)
    assert len(tokens["injection_char"]) == 1
    assert templates["av"].format(injection_char="x") != templates["av"]
    assert templates["ar"].format(explanation="x") != templates["ar"]
