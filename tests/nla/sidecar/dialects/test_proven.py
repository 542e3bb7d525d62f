"""The demo pair in other dialects' clothes: what it was trained with is proven, another kind is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from nla_ray.config.models.reference import ModelRef
from nla_ray.nla.model.resolve import resolve
from nla_ray.nla.proof.prove import Pair, prove

ADDED = "add_matched@output:1=1.0"


def of_demo(part: str) -> Path:
    return resolve(ModelRef.parse(f"demo:{part}"))


def meta_of(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((directory / "nla_meta.yaml").read_text(encoding="utf-8"))
    return found


def weights_of(directory: Path) -> dict[str, torch.Tensor]:
    return {
        name: one.float()
        for file in directory.glob("model*.safetensors")
        for name, one in load_file(file).items()
    }


def as_adapter(av: Path, target: Path, path: Path) -> Path:
    """The whole difference of two models as LoRA of full rank, what is no matrix of a block as it is."""
    path.mkdir()
    whole, base = weights_of(av), weights_of(target)
    # A tied head goes with its embedding only where both are saved.
    for one in (whole, base):
        one["lm_head.weight"] = one["model.embed_tokens.weight"]
    rank = max(min(one.shape) for name, one in whole.items() if "_proj" in name and one.ndim == 2)
    tensors, kept = {}, set()
    for name, one in whole.items():
        module = name.removesuffix(".weight")
        if "_proj" in name and one.ndim == 2:
            left, values, right = torch.linalg.svd(one - base[name], full_matrices=False)
            wide, high = torch.zeros(len(one), rank), torch.zeros(rank, one.shape[1])
            wide[:, : len(values)], high[: len(values)] = left * values, right
            tensors |= {f"{module}.lora_A.weight": high, f"{module}.lora_B.weight": wide}
        elif not torch.equal(one, base[name]):
            tensors[name] = one
            kept.add(module.rpartition(".")[2])
    save_file(
        {f"base_model.model.{name}": one.clone() for name, one in tensors.items()},
        path / "adapter_model.safetensors",
    )
    config = {
        "peft_type": "LORA", "r": rank, "lora_alpha": rank, "bias": "none", "modules_to_save": sorted(kept),
        "target_modules": sorted({name.split(".")[-3] for name in tensors if ".lora_A." in name}),
    }  # fmt: skip
    (path / "adapter_config.json").write_text(json.dumps(config))
    return path


@pytest.mark.slow
def test_an_adapter_in_the_dialect_of_nla_train_is_proven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NLA_RAY_CACHE", str(tmp_path / "cache"))
    released = meta_of(of_demo("av"))
    av = as_adapter(of_demo("av"), of_demo("target"), tmp_path / "av")
    said = {
        name: released[name]
        for name in ("role", "d_model", "extraction_layer_index", "tokens", "prompt_templates")
    }
    scale = {"injection_scale": released["extraction"]["injection_scale"]}
    (av / "nla_meta.yaml").write_text(
        yaml.safe_dump({"schema_version": 2, "extraction": scale} | said, allow_unicode=True)
    )
    found = prove(Pair(resolve(ModelRef.parse(f"{av} on demo:target")), of_demo("ar"), of_demo("target")))
    assert found.proven == found.wanted and str(found.proven).startswith("replace@embedding=")


@pytest.mark.slow
def test_a_data_sets_sidecar_says_nothing_and_addition_is_refused(tmp_path: Path) -> None:
    """The pair was trained by replacement; EasyNLA's files would not tell, and its way reads nothing here."""
    for part in ("av", "ar"):
        copy = Path(shutil.copytree(of_demo(part), tmp_path / part))
        meta = meta_of(copy)
        extraction = {
            "base_model": "demo",
            "d_model": meta["d_model"],
            "layer_index": meta["extraction_layer_index"],
        }
        said = {
            "kind": "nla_dataset", "schema_version": 1, "stage": "rl", "tokens": meta["tokens"],
            "extraction": extraction | {"norm": "none"},
            "prompt_templates": {
                "actor": meta["prompt_templates"]["av"], "critic": meta["prompt_templates"]["ar"],
            },
        }  # fmt: skip
        (copy / "nla_meta.yaml").write_text(yaml.safe_dump(said, allow_unicode=True), encoding="utf-8")
    pair = Pair(tmp_path / "av", tmp_path / "ar", of_demo("target"))
    wrong = prove(replace(pair, injection=ADDED))
    assert wrong.proven is None and wrong.verdict.startswith(f"refused: {ADDED} is said")
    right = prove(replace(pair, injection="replace@embedding=29.325"))
    assert right.proven == "replace@embedding=29.325"
