"""The recipe end to end at its small size: losses fall, and what it writes is a checkpoint like any other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nla_ray.cli import app
from nla_ray.config.models.reference import ModelRef
from nla_ray.demo.recipe.train import RECIPES, train_pair
from nla_ray.errors import InputError
from nla_ray.nla.preflight.run import check


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[float]]]:
    out = tmp_path_factory.mktemp("pair")
    return out, train_pair(out, RECIPES["small"], progress=lambda *_: None)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["target", "AR", "AV"])
def test_losses_fall(trained: tuple[Path, dict[str, list[float]]], stage: str) -> None:
    losses = trained[1][stage]
    assert min(losses[-2:]) < losses[0]


@pytest.mark.slow
def test_the_pair_passes_the_preflight(trained: tuple[Path, dict[str, list[float]]]) -> None:
    for stage in ("", "-sft"):
        parts = [ModelRef.parse(str(trained[0] / part)) for part in (f"av{stage}", f"ar{stage}", "target")]
        assert not [one for one in check(*parts) if one.status == "fail"]


@pytest.mark.slow
def test_card_and_measurements_stand_beside_the_weights(trained: tuple[Path, dict[str, list[float]]]) -> None:
    measured = json.loads((trained[0] / "measured.json").read_text())
    card = (trained[0] / "README.md").read_text()
    assert f"real {measured['test']['real']['fve_nrm']:.3f}" in card
    rows = [json.loads(line) for line in (trained[0] / "corpus.jsonl").read_text().splitlines()]
    assert len(rows) == 200 and all(("messages" in row) != ("text" in row) for row in rows)


def test_a_folder_in_use_is_not_trained_into(tmp_path: Path) -> None:
    (tmp_path / "keep").touch()
    result = CliRunner().invoke(app, ["demo-train", "--steps", "small", "--out", str(tmp_path)])
    assert isinstance(result.exception, InputError) and "empty" in str(result.exception)
