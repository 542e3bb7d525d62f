"""A decode by a pair that its trainer left as adapters: from the references to committed rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nla_ray.config.decode import DecodeConfig
from nla_ray.errors import CheckpointError
from nla_ray.pipelines.decode.run import decode, plan
from tests.decoded import rows_of
from tests.nla.sidecar.dialects import writers

ADDED = "add_matched@output:1"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """An EasyNLA pair over a base with a thinking template, and two documents."""
    monkeypatch.setenv("NLA_RAY_CACHE", str(tmp_path / "cache"))
    base = writers.base(tmp_path / "base", thinking=True)
    av = writers.easynla_av(base, tmp_path / "av")
    writers.easynla_ar(base, tmp_path / "ar", stripped=True)
    corpus = tmp_path / "corpus.jsonl"
    lines = [{"id": n, "text": "the model said that it was true"} for n in range(2)]
    corpus.write_text("\n".join(json.dumps(line) for line in lines))
    return {
        "output": str(tmp_path / "tables"),
        "models": {
            "target": str(base.directory), "av": f"{av} on {base.directory}",
            "ar": f"{tmp_path / 'ar'} on {base.directory}", "injection": ADDED,
            "pair": {"template_options": {"enable_thinking": False}},
        },
        "corpus": {"paths": [str(corpus)], "text": "text", "id": "id"},
        "positions": {"choose": "last", "n": 1, "min_position": 0}, "controls": {"shuffled": 0, "random": 0},
        "sampling": {"temperature": 0, "max_new_tokens": 8}, "engine": {"slots": 2},
        "runner": {"name": "local"}, "prove": False,
    }  # fmt: skip


def test_a_pair_of_adapters_is_decoded_and_its_facts_are_in_the_plan(config: dict[str, Any]) -> None:
    decode(DecodeConfig.model_validate(config))
    rows = rows_of(config["output"])
    assert len(rows) == 2 and all(row["cos"] is not None for row in rows if row["explanation"])
    (stored,) = (Path(config["output"]) / "plans").glob("*.json")
    models = json.loads(stored.read_text())["facts"]["config"]["models"]
    assert models["pair"]["template_options"] == {"enable_thinking": False}
    assert models["injection"] == ADDED


def test_what_a_pair_is_told_makes_another_run(config: dict[str, Any]) -> None:
    first, _ = plan(DecodeConfig.model_validate(config))
    del config["models"]["pair"]
    second, _ = plan(DecodeConfig.model_validate(config))
    assert first.plan.run_id != second.plan.run_id


def test_an_untold_injection_is_refused_before_weights_are_loaded(config: dict[str, Any]) -> None:
    del config["models"]["injection"]
    with pytest.raises(CheckpointError, match="nothing tells how this AV was given its vectors"):
        plan(DecodeConfig.model_validate(config))
