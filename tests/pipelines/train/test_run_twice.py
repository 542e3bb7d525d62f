"""Two trainings into one output at once: the one that was started later wins, the other one says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nla_ray.config.training.train import TrainConfig
from nla_ray.errors import InputError
from nla_ray.pipelines.train.run import TrainedPair, train
from nla_ray.store.places.tree import Tree
from nla_ray.training.loop.metrics import Progress
from tests.train_tables import train_values, write_set


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.slow)])
def config(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    nla: Callable[[str], tuple[Path, Path, Path]],
    monkeypatch: pytest.MonkeyPatch,
) -> TrainConfig:
    """A warm start of a reconstructor."""
    values: dict[str, Any] = train_values(tmp_path, nla("qwen2")[0], write_set(tmp_path / "set"))
    if request.param == "s3":
        values["output"] = request.getfixturevalue("s3")
    monkeypatch.setenv("NLA_RAY_CACHE", str(tmp_path / "cache"))
    return TrainConfig.model_validate(values | {"stages": {"sft_ar": values["stages"]["sft_ar"]}})


def test_the_later_one_wins(config: TrainConfig) -> None:
    later: list[TrainedPair] = []

    def start_another(now: Progress) -> None:
        if now.step == 3 and not later:
            later.append(train(config, lambda _: None))

    with pytest.raises(InputError, match="another training was started into this output") as stopped:
        train(config, start_another)
    assert stopped.value.exit_code == 2
    lines = [json.loads(line) for line in (Tree(config.output).read("metrics.jsonl") or b"").splitlines()]
    steps = {kind: [line["step"] for line in lines if line["kind"] == kind] for kind in ("train", "held_out")}
    assert steps == {"train": [1, 2, 3, 4, 5, 6], "held_out": [0, 2, 4, 6]}
    again = train(config, lambda _: None)
    assert again.again and again.stages == later[0].stages
