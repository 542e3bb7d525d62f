"""A whole training in one process: what it leaves, how it goes on, what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from nla_ray.config.models.reference import ModelRef
from nla_ray.config.training.train import TrainConfig
from nla_ray.errors import ConfigError
from nla_ray.nla.preflight.run import check
from nla_ray.nla.reconstruction.reconstructor import Reconstructor
from nla_ray.pipelines.train.run import RECORD, TrainedPair, ready, train
from nla_ray.store.places.tree import Tree
from nla_ray.training.loop.metrics import Progress
from tests.train_tables import train_values, write_set

NlaDirs = tuple[Path, Path, Path]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NLA_RAY_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def values(tmp_path: Path, nla: Callable[[str], NlaDirs]) -> dict[str, Any]:
    """A training of a tiny target."""
    return train_values(tmp_path, nla("qwen2")[0], write_set(tmp_path / "set"))


def run(values: dict[str, Any], report: Callable[[Progress], None] = lambda _: None) -> TrainedPair:
    return train(TrainConfig.model_validate(values), report)


def taken(reports: list[Progress]) -> list[tuple[str, int]]:
    """The steps that were reported."""
    return [(now.stage, now.step) for now in reports if now.metrics and not now.doing and not now.held_out]


def lines(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(output, "metrics.jsonl").read_text().splitlines()]


def test_a_pair_in_the_released_dialect_with_its_provenance(
    values: dict[str, Any], tmp_path: Path, nla: Callable[[str], NlaDirs]
) -> None:
    found = run(values)
    assert [one.stage for one in found.stages] == ["sft_ar", "sft_av"]
    out = Path(values["output"])
    checks = check(*(ModelRef(path=str(path)) for path in (out / "sft/av", out / "sft/ar", nla("qwen2")[0])))
    assert [one for one in checks if one.status == "fail"] == []
    meta = yaml.safe_load((out / "sft/ar/nla_meta.yaml").read_text())
    assert meta["stage"] == "sl" and meta["base_checkpoint"] == values["target"]
    assert set(meta["trained_on"]) == {"ar_sft", "av_sft", "held_out"}
    assert meta["fve_baseline"]["n"] == 24 and "ar_sft" in meta["fve_baseline"]["reference"]
    assert meta["nla_ray"]["config"] == TrainConfig.model_validate(values).fingerprint()
    assert list((out / "tensorboard/sft_av").iterdir())
    for stage, steps in (("sft_ar", 6), ("sft_av", 4)):
        said = [line for line in lines(values["output"]) if line["stage"] == stage]
        assert [line["step"] for line in said if line["kind"] == "train"] == list(range(1, steps + 1))
        assert all("fve_nrm" in line and "gap" in line for line in said if line["kind"] == "held_out")


class Killed(Exception):
    """As a signal would."""


@pytest.mark.slow
@pytest.mark.parametrize("lora", [None, {"rank": 4}])
def test_a_killed_driver_goes_on_to_the_same_pair(
    values: dict[str, Any], tmp_path: Path, lora: dict[str, int] | None
) -> None:
    values["lora"] = lora
    calm = run(values)
    values = values | {"output": str(tmp_path / "killed")}
    for stage in ("sft_ar", "sft_av"):

        def kill(now: Progress, stage: str = stage) -> None:
            if (now.stage, now.step) == (stage, 3):
                raise Killed

        with pytest.raises(Killed):
            run(values, kill)
    reports: list[Progress] = []
    found = run(values, reports.append)
    assert taken(reports) == [("sft_av", 3), ("sft_av", 4)] and not found.again
    assert {(now.stage, now.before) for now in reports if now.before} == {("sft_ar", 6), ("sft_av", 2)}
    for one, other in zip(found.stages, calm.stages, strict=True):
        assert one.steps == other.steps and one.held_out == pytest.approx(other.held_out, abs=1e-5)
    for name in ("ar", "av"):
        mine, theirs = (
            load_file(tmp_path / folder / "sft" / name / "model.safetensors") for folder in ("killed", "out")
        )
        assert all(torch.equal(mine[key], theirs[key]) for key in theirs)
    for stage, count in (("sft_ar", 6), ("sft_av", 4)):
        said = [line for line in lines(values["output"]) if (line["stage"], line["kind"]) == (stage, "train")]
        assert [line["step"] for line in said] == list(range(1, count + 1))
    again: list[Progress] = []
    finished = run(values, again.append)
    assert finished.stages == found.stages and finished.again and not taken(again)


def test_another_configuration_is_refused_by_name(values: dict[str, Any]) -> None:
    values["stages"] = {"sft_ar": values["stages"]["sft_ar"] | {"steps": 1}}
    run(values)
    changed = values | {"stages": {"sft_ar": values["stages"]["sft_ar"] | {"lr": 0.5}}, "seed": 4}
    with pytest.raises(
        ConfigError, match=r"seed \(3 there, 4 here\), stages.sft_ar.lr \(0.003 there, 0.5 here\)"
    ):
        run(changed)
    harmless = {"saving": {"every": 1}, "gradient_checkpointing": True}
    stages = {"sft_ar": values["stages"]["sft_ar"] | {"micro_batch": 2}}
    assert run(values | harmless | {"stages": stages}).stages


def test_a_secret_in_the_configuration_is_not_recorded_and_an_older_record_still_fits(
    values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "planted-training-5e1d"
    monkeypatch.setenv("PLANTED_TOKEN", secret)
    (tmp_path / secret).symlink_to(values["target"])
    config = TrainConfig.model_validate(values | {"target": str(tmp_path / secret)})
    tree, _, recorded = ready(config, lambda _: None)
    assert secret not in json.dumps(recorded) and f"{tmp_path}/***" in json.dumps(recorded)
    older = recorded | config.effective()
    assert secret in json.dumps(older)
    tree.write(RECORD, json.dumps(older).encode())
    assert ready(config, lambda _: None)[2] == recorded


def test_a_twin_learns_from_other_vectors(values: dict[str, Any]) -> None:
    values["stages"] = {"sft_ar": values["stages"]["sft_ar"] | {"train_twin": True, "steps": 12}}
    values["saving"] = {"every": 12}
    run(values)
    train_lines = [line for line in lines(values["output"]) if line["kind"] == "train"]
    assert all(line["gap"] == pytest.approx(line["twin_loss"] - line["loss"]) for line in train_lines)
    assert lines(values["output"])[-1]["gap"] > 0.1


@pytest.mark.slow
def test_joint_training_after_a_warm_start_of_others(tmp_path: Path) -> None:
    from nla_ray.demo.recipe.tokenizer import AR_TEMPLATE, AV_TEMPLATE

    data = write_set(tmp_path / "demo", d_model=128, layer=3, av=AV_TEMPLATE, ar=AR_TEMPLATE)
    guards = {"unclosed": 1.0, "mean_tokens": [0, 1000], "cjk": 1.0, "loops": 1.0, "gap": -10.0}
    values = train_values(tmp_path, Path("demo:target"), data) | {
        "target": None, "init": {"av": "demo:av", "ar": "demo:ar"},
        "stages": {"rl": {"steps": 2, "vectors": 2, "group": 2, "max_new_tokens": 48, "guards": guards}},
    }  # fmt: skip
    found = run(values)
    assert (found.av, found.ar) == (f"{values['output']}/rl/av", f"{values['output']}/rl/ar")
    assert "demo world" in found.baseline, "an existing pair keeps its denominator"
    meta = yaml.safe_load(Path(values["output"], "rl/av/nla_meta.yaml").read_text())
    assert meta["stage"] == "rl" and meta["parent_checkpoints"] == ["demo:av", "demo:ar"]
    assert {check.status for check in check(ModelRef(path=str(found.av)), ModelRef(path=str(found.ar)))} <= {
        "pass", "skip",
    }  # fmt: skip


def test_a_training_on_s3_is_interrupted_and_goes_on(values: dict[str, Any], s3: str, tmp_path: Path) -> None:
    values |= {"output": s3, "stages": {"sft_ar": values["stages"]["sft_ar"]}}

    def kill(now: Progress) -> None:
        if now.step == 3:
            raise Killed

    with pytest.raises(Killed):
        run(values, kill)
    reports: list[Progress] = []
    found = run(values, reports.append)
    assert [step for _, step in taken(reports)] == [3, 4, 5, 6] and found.ar == f"{s3}/sft/ar"
    tree = Tree(s3)
    assert len(tree.folders("checkpoints/sft_ar")) <= 3
    said = [json.loads(line) for line in (tree.read("metrics.jsonl") or b"").splitlines()]
    assert [line["step"] for line in said if line["kind"] == "train"] == [1, 2, 3, 4, 5, 6]
    copy = tree.fetch("sft/ar", tmp_path / "ar")
    assert Reconstructor(copy).reconstruct(["true"]).shape == (1, 32)
