"""What a dry run of a training says, held against what training does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nla_ray.config.training.train import TrainConfig
from nla_ray.errors import ConfigError, UnreachableError
from nla_ray.pipelines.train.estimate import Plan, plan
from nla_ray.store.places.tree import Tree
from nla_ray.training.models import load_ar, load_av
from nla_ray.training.saved.records import newest
from nla_ray.training.sft import Writing
from tests.gguf_files import write_gguf
from tests.train_tables import train_values, write_set

NlaDirs = tuple[Path, Path, Path]
RL = {"steps": 3, "vectors": 2, "group": 2, "max_new_tokens": 10}


@pytest.fixture
def values(tmp_path: Path, nla: Callable[[str], NlaDirs], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("NLA_RAY_CACHE", str(tmp_path / "cache"))
    target, av, ar = nla("qwen2")
    found = train_values(tmp_path, target, write_set(tmp_path / "set"))
    return found | {"init": {"av": str(av), "ar": str(ar)}, "stages": found["stages"] | {"rl": RL}}


def planned(values: dict[str, Any]) -> Plan:
    return plan(TrainConfig.model_validate(values), lambda _: None)


def size(model: torch.nn.Module) -> int:
    return sum(one.numel() for one in model.parameters())


def test_the_estimate_is_that_of_the_models_and_texts(values: dict[str, Any], tmp_path: Path) -> None:
    found = planned(values)
    assert not (tmp_path / "out").exists() and found.newest is None
    assert found.splits == (
        ("ar_sft", 24, 12), ("av_sft", 24, 12), ("rl", 12, 6), ("held_out", 10, 5),
    )  # fmt: skip
    av, ar = load_av(Path(values["init"]["av"])), load_ar(Path(values["init"]["ar"]))
    reading, writing, joint = found.work
    last_norm = ar.sidecar.d_model
    assert reading.parameters == size(ar.backbone) + ar.head.weight.numel() + last_norm
    assert (
        writing.parameters == size(av.lm.model) and joint.parameters == size(av.lm.model) + reading.parameters
    )
    texts = [f"<explanation>\n{word}\n</explanation>" for word in ("true", "mind")]
    around, said = len(av.prompt.ids), Writing(av).encode(texts).weight / len(texts)
    assert writing.rows == 32 and writing.tokens > 32 * (around + said)
    assert writing.flops == pytest.approx(6 * writing.parameters * writing.tokens, rel=1e-3)
    assert joint.rows == 12 and joint.tokens == 12 * (around + 10)
    assert joint.flops > 10 * writing.parameters * joint.tokens


def test_a_gguf_file_is_a_target_as_the_folder_it_was_made_from_is(
    values: dict[str, Any], tmp_path: Path
) -> None:
    write_gguf(Path(values["target"]), tmp_path / "target.gguf")
    of_file = planned(values | {"target": str(tmp_path / "target.gguf")})
    assert of_file.work == planned(values).work
    new = values | {"init": {}, "target": str(tmp_path / "target.gguf")}
    assert planned(new).work[0].rows == of_file.work[0].rows


def test_what_is_there_is_said(values: dict[str, Any], tmp_path: Path) -> None:
    tree = Tree(values["output"])
    tree.write("checkpoints/sft_ar/step-4.json", b'{"step": 4, "folder": "step-4", "held_out": {}}')
    tree.write("stages/sft_ar.json", b'{"stage": "sft_ar"}')
    found = planned(values)
    assert [work.done for work in found.work] == [True, False, False] and found.newest == ("sft_ar", 4)
    tree.write("checkpoints/sft_av/step-2.json", b'{"step": 2, "folder": "step-2", "held_out": {}}')
    assert newest(tree, found.config.stages.chosen) == ("sft_av", 2)


def test_it_checks_what_training_checks(values: dict[str, Any]) -> None:
    Tree(values["output"]).write("run.json", b'{"seed": 5}')
    with pytest.raises(ConfigError, match="holds a training with another configuration"):
        planned(values)
    with pytest.raises(ConfigError, match="this machine has no CUDA device"):
        planned(values | {"output": values["output"] + "2", "runner": {"gpus": 1}})
    runner = {"name": "ray", "address": "127.0.0.1:9"}
    with pytest.raises(UnreachableError, match="no Ray cluster answers"):
        planned(values | {"output": values["output"] + "2", "runner": runner})
