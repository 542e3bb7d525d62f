"""A pair that is trained and released as adapters: each is read on its base, and as one over both stages."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from pydantic import ValidationError
from safetensors.torch import load_file

from nla_ray.config.models.reference import ModelRef
from nla_ray.config.training.train import TrainConfig
from nla_ray.models import directory_of
from nla_ray.nla.engines.transformers import TransformersVerbalizer
from nla_ray.nla.preflight.run import check
from nla_ray.nla.reconstruction.reconstructor import Reconstructor
from nla_ray.nla.verbalizer import Sampling
from nla_ray.pipelines.train.run import train
from nla_ray.training.models import load_ar, load_av
from tests.train_tables import train_values, write_set

NlaDirs = tuple[Path, Path, Path]
GUARDS = {"unclosed": 1.0, "mean_tokens": [0, 1000], "cjk": 1.0, "loops": 1.0, "gap": -10.0}
RL = {"steps": 2, "vectors": 2, "group": 2, "max_new_tokens": 48, "guards": GUARDS, "av_lr": 0.01}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NLA_RAY_CACHE", str(tmp_path / "cache"))


def values(folder: Path, release: str) -> dict[str, Any]:
    """Both warm starts and joint training of the demo's pair."""
    from nla_ray.demo.recipe.tokenizer import AR_TEMPLATE, AV_TEMPLATE

    data = folder / "demo"
    if not data.exists():
        write_set(data, d_model=128, layer=3, av=AV_TEMPLATE, ar=AR_TEMPLATE)
    found = train_values(folder, Path("demo:target"), data)
    found["stages"] = {name: one | {"steps": 2} for name, one in found["stages"].items()} | {"rl": RL}
    return found | {
        "init": {"av": "demo:av", "ar": "demo:ar"}, "output": str(folder / release),
        "lora": {"rank": 4, "release": release}, "held_out": {"rows": 4, "max_new_tokens": 48},
    }  # fmt: skip


@pytest.mark.slow
def test_adapters_on_their_base_are_what_whole_models_would_be(tmp_path: Path) -> None:
    whole, light = (
        train(TrainConfig.model_validate(values(tmp_path, kind)), lambda _: None)
        for kind in ("merged", "adapter")
    )
    for one, other in zip(light.stages, whole.stages, strict=True):
        assert one.held_out == pytest.approx(other.held_out, abs=1e-4)
    out = tmp_path / "adapter"
    assert (light.av, light.ar) == (f"{out}/rl/av on demo:av", f"{out}/rl/ar on demo:ar")
    for role in ("av", "ar"):
        files = {file.name for file in (out / "rl" / role).iterdir()}
        assert {"adapter_config.json", "adapter_model.safetensors", "nla_meta.yaml"} <= files
        assert "model.safetensors" not in files and ("value_head.safetensors" in files) == (role == "ar")
        configs = [out / stage / role / "adapter_config.json" for stage in ("sft", "rl")]
        ranks = [json.loads(file.read_text())["r"] for file in configs]
        assert ranks == [4, 8], "joint training is one adapter over the base, not over the warm start"
        meta = yaml.safe_load((out / "rl" / role / "nla_meta.yaml").read_text())
        assert meta["training"]["lora"]["rank"] == 4 and meta["extraction"]["base_model"] == f"demo:{role}"
    refs = [ModelRef.parse(str(one)) for one in (light.av, light.ar, whole.av, whole.ar)]
    av, ar, whole_av, whole_ar = map(directory_of, refs)
    for mine, theirs in (
        (one.state_dict(), other.state_dict())
        for one, other in ((load_av(av), load_av(whole_av)), (load_ar(ar), load_ar(whole_ar)))
    ):
        assert all(torch.allclose(tensor, theirs[name], atol=1e-5) for name, tensor in mine.items())
    assert [fault for fault in check(refs[0], refs[1]) if fault.status == "fail"] == []
    start, end = (
        load_file(directory_of(ref) / "model.safetensors") for ref in (ModelRef(path="demo:av"), refs[2])
    )
    moved = [name for name in start if not torch.equal(start[name], end[name])]
    assert moved and all("_proj.weight" in name for name in moved)


@pytest.mark.slow
def test_a_new_pair_is_also_read_in_easynlas_form(tmp_path: Path, nla: Callable[[str], NlaDirs]) -> None:
    target, added = nla("qwen2")[0], "add_matched@output:1"
    given = train_values(tmp_path, target, write_set(tmp_path / "set")) | {
        "init": {"injection": added}, "lora": {"rank": 4, "release": "easynla"},
    }  # fmt: skip
    train(TrainConfig.model_validate(given), lambda _: None)

    def read(place: str, injection: str | None) -> tuple[list[tuple[int, ...]], np.ndarray]:
        av, ar = (
            directory_of(ModelRef.parse(f"{tmp_path}/out/sft/{place}{role} on {target}"))
            for role in ("av", "ar")
        )
        vectors = np.random.default_rng(0).standard_normal((3, 32)).astype(np.float32)
        engine = TransformersVerbalizer(av, injection=injection)
        drawn = engine.generate(vectors, ["a", "b", "c"], Sampling(max_new_tokens=8))
        return [tuple(one.token_ids) for one in drawn], Reconstructor(ar).reconstruct(["true"])

    ours, theirs = read("", None), read("easynla/", added)
    assert ours[0] == theirs[0] and np.allclose(ours[1], theirs[1], atol=1e-6)


def test_actors_for_rollouts_read_whole_models(tmp_path: Path) -> None:
    given = values(tmp_path, "adapter") | {"runner": {"name": "ray", "rollouts": {"actors": 1}}}
    with pytest.raises(ValidationError, match=r"lora.release: the actors of runner.rollouts"):
        TrainConfig.model_validate(given)
