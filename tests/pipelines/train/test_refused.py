"""What an evaluation would refuse is refused before anything is trained."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from nla_ray.config.models.reference import ModelRef
from nla_ray.config.training.train import TrainConfig
from nla_ray.errors import CheckpointError, ConfigError, InputError, NlaError
from nla_ray.nla.sidecar.read import read_sidecar
from nla_ray.nla.sidecar.write import write_sidecar
from nla_ray.pipelines.provenance import model_record
from nla_ray.pipelines.train.estimate import plan
from nla_ray.pipelines.train.run import train
from nla_ray.training.models import load_av
from nla_ray.training.saved.release import write_av
from nla_ray.training.world import full_state
from tests.nla.model.adapters.trained import trained
from tests.train_tables import train_values, write_set

NlaDirs = tuple[Path, Path, Path]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NLA_RAY_CACHE", str(tmp_path / "cache"))


def refused(folder: Path, kind: type[NlaError], match: str, values: dict[str, Any]) -> None:
    """A training of these values ends before anything is written."""
    with pytest.raises(kind, match=match) as caught:
        train(TrainConfig.model_validate(values), lambda _: None)
    assert "\n" not in str(caught.value) and not (folder / "out").exists()


@pytest.fixture
def cut(tmp_path: Path, nla: Callable[[str], NlaDirs]) -> Path:
    """An AV of two blocks for vectors of block 2."""
    model = load_av(nla("qwen2")[1])
    del model.lm.model.layers[2:]
    model.lm.config.num_hidden_layers = 2
    write_av(tmp_path / "av", model, full_state(model), model.sidecar)
    return tmp_path / "av"


def test_a_verbalizer_of_fewer_blocks_than_it_reads(
    cut: Path, tmp_path: Path, nla: Callable[[str], NlaDirs]
) -> None:
    target, _, ar = nla("qwen2")
    values = train_values(tmp_path, target, write_set(tmp_path / "set"))
    match = r"init: AV, blocks: .*K = 2 and its own model has 2 blocks, 0..1"
    refused(tmp_path, CheckpointError, match, values | {"init": {"av": str(cut), "ar": str(ar)}})


def test_a_target_of_fewer_blocks_than_the_data_are_from(cut: Path, tmp_path: Path) -> None:
    values = train_values(tmp_path, cut, write_set(tmp_path / "set"))
    refused(tmp_path, InputError, r"layer 2, .* has blocks 0..1; take the target", values)


def test_a_reconstructor_of_another_depth(tmp_path: Path, nla: Callable[[str], NlaDirs]) -> None:
    target, _, ar = nla("qwen2")
    values = train_values(tmp_path, target, write_set(tmp_path / "set", layer=1))
    odd = shutil.copytree(ar, tmp_path / "ar")
    (odd / "nla_meta.yaml").unlink()
    write_sidecar(odd, replace(read_sidecar(ar), layer=1))
    match = r"K = 1 and config.json says num_hidden_layers 3; K\+1 = 2 was expected"
    refused(tmp_path, CheckpointError, match, values | {"init": {"ar": str(odd)}})


@pytest.mark.parametrize("init", [(), ("ar",)])
def test_a_new_pair_that_would_start_as_an_adapter(
    init: tuple[str, ...], tmp_path: Path, nla: Callable[[str], NlaDirs]
) -> None:
    target, _, ar = nla("qwen2")
    trained(target, tmp_path / "adapter")
    values = train_values(tmp_path, target, write_set(tmp_path / "set"))
    values["target"] = f"{tmp_path / 'adapter'} on {target}"
    match = r"target: .*adapter on .*: a new verbalizer or reconstructor does not start as an adapter; name"
    refused(tmp_path, InputError, match, values | {"init": {role: str(ar) for role in init}})


@pytest.mark.parametrize(
    ("lora", "match"),
    [
        ({"targets": ["q_prj"]}, r"lora.targets: 'q_prj' is no .* which have down_proj, .* or all-linear"),
        ({"rank": 4096}, r"lora.rank: 4096, and no layer that is adapted has a rank above 32 .*1..32"),
    ],
)
def test_adapters_that_the_models_do_not_take(
    lora: dict[str, Any], match: str, tmp_path: Path, nla: Callable[[str], NlaDirs]
) -> None:
    """A dry run finds them, before weights are there to be loaded."""
    target = shutil.copytree(nla("qwen2")[0], tmp_path / "target")
    values = train_values(tmp_path, target, write_set(tmp_path / "set")) | {"lora": lora}
    refused(tmp_path, ConfigError, match, values)
    (target / "model.safetensors").write_bytes(b"none")
    with pytest.raises(ConfigError, match=match):
        plan(TrainConfig.model_validate(values), lambda _: None)


def test_data_from_another_target(tmp_path: Path, nla: Callable[[str], NlaDirs]) -> None:
    """Refused where the sidecars say of which files the target was, a warning where they do not."""
    target = nla("qwen2")[0]
    data = write_set(tmp_path / "set")
    config = TrainConfig.model_validate(train_values(tmp_path, target, data))
    (said,) = plan(config, lambda _: None).warnings
    assert "is not known" in said and "ar_sft, av_sft, held_out" in said
    own = model_record(ModelRef(path=str(target)), target)
    for file in data.glob("*/*.yaml"):
        record_target(file, asdict(own))
    assert plan(config, lambda _: None).warnings == ()
    record_target(data / "av_sft/part-00000.parquet.nla_meta.yaml", asdict(own) | {"sha256": "0" * 64})
    match = rf"target: .*{own.sha256[:16]}\) is not the model .*av_sft are from: .*\(sha256 0{{16}}\)"
    refused(tmp_path, InputError, match, config.model_dump(mode="json"))


def record_target(sidecar: Path, target: dict[str, Any]) -> None:
    sidecar.write_text(yaml.safe_dump(yaml.safe_load(sidecar.read_text()) | {"target": target}))


def test_a_step_of_more_rows_than_there_are_is_named(tmp_path: Path, nla: Callable[[str], NlaDirs]) -> None:
    values = train_values(tmp_path, nla("qwen2")[0], write_set(tmp_path / "set"))
    values["stages"]["sft_av"]["batch"] = 25
    warnings = plan(TrainConfig.model_validate(values), lambda _: None).warnings
    assert "stages.sft_av.batch 25: av_sft has 24 rows, so every step reads some of them" in warnings[-1]
