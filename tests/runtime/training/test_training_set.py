"""Training sets on Ray: the same rows as in one process, from the target and from a local model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nla_ray.pipelines.training_set.build import build_training_set
from tests.training_sets import config, tables, text, write_corpus


@pytest.mark.slow
def test_actors_make_the_same_set(
    tmp_path: Path, checkpoint: Callable[[str], Path], ray_cluster: None
) -> None:
    (tmp_path / "ask.txt").write_text("Explain.")
    provider = {
        "kind": "local", "model": str(checkpoint("qwen2")), "instruction": str(tmp_path / "ask.txt"),
        "answer_tokens": 16, "max_chars": 100, "temperature": 1,
    }  # fmt: skip
    shares = {"av_sft": 0, "ar_sft": 0, "rl": 0.7, "held_out": 0.3}
    found = {}
    for name in ("local", "ray"):
        (tmp_path / name).mkdir()
        write_corpus(tmp_path, [text(number) for number in range(30)])
        settings = config(tmp_path, checkpoint("qwen2"), provider=provider, shares=shares,
                          output=str(tmp_path / name), runner={"name": name, "address": "local"})  # fmt: skip
        made = build_training_set(settings).set
        answers = {path.name: path.read_text() for path in tmp_path.glob(f"{name}/work/answers/*/*.json")}
        found[name] = (made.set_id, answers, tables(tmp_path / name))
    assert found["local"] == found["ray"] and len(found["ray"][1]) == found["ray"][2]["held_out"].num_rows
