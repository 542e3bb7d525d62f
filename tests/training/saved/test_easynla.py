"""Adapters in EasyNLA's form are read as its own are, and say what the release says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from nla_ray.config.models.reference import ModelRef
from nla_ray.config.training.lora import Lora
from nla_ray.errors import ConfigError
from nla_ray.models import directory_of
from nla_ray.nla.reconstruction.reconstructor import Reconstructor
from nla_ray.nla.sidecar.read import read_sidecar
from nla_ray.training.lora import Adapting
from nla_ray.training.models import load_av, new_ar, new_av
from nla_ray.training.saved.adapter import Over, write_adapter
from nla_ray.training.saved.easynla import ADDED, require_easynla, write_easynla
from nla_ray.training.world import full_state

NlaDirs = tuple[Path, Path, Path]


def view(adapter: Path, base: Path) -> Path:
    return directory_of(ModelRef(path=str(adapter), base=ModelRef(path=str(base))))


ADAPTING = Adapting(Lora(rank=4, release="easynla"), torch.float32, seed=0)


def test_both_read_what_was_trained(
    nla: Callable[[str], NlaDirs], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NLA_RAY_CACHE", str(tmp_path / "cache"))
    target, av, _ = nla("qwen2")
    sidecar = replace(read_sidecar(av), injection=ADDED)
    require_easynla(sidecar)
    over = Over(ADAPTING.options, ModelRef(path="owner/tiny"))
    for role, make in (("av", new_av), ("ar", new_ar)):
        model = make(target, sidecar, lora=ADAPTING)
        torch.manual_seed(1)
        with torch.no_grad():
            for name, one in model.named_parameters():
                if ".lora_B." in name or name == "head.weight":
                    one.add_(0.1 * torch.randn_like(one))
        write_adapter(tmp_path / f"our-{role}", model, full_state(model), sidecar, over)
        said = read_sidecar(view(tmp_path / f"our-{role}", target))
        write_easynla(tmp_path / role, tmp_path / f"our-{role}", said)
        meta = yaml.safe_load((tmp_path / role / "nla_meta.yaml").read_text())
        assert meta["kind"] == "nla_dataset" and meta["extraction"]["base_model"] == "owner/tiny"
    meta = json.loads((tmp_path / "ar" / "ar_meta.json").read_text())
    assert (meta["ar_num_layers"], meta["lora_r"], meta["final_norm_stripped"]) == (3, 4, True)
    ours, theirs = (Reconstructor(view(tmp_path / one, target)) for one in ("our-ar", "ar"))
    assert np.allclose(ours.reconstruct(["true"]), theirs.reconstruct(["true"]), atol=1e-6)
    loaded = load_av(view(tmp_path / "our-av", target))
    state = load_av(view(tmp_path / "av", target), sidecar=loaded.sidecar).state_dict()
    assert all(torch.equal(one, state[name]) for name, one in loaded.state_dict().items())


def test_what_its_form_would_say_wrongly_is_refused(nla: Callable[[str], NlaDirs]) -> None:
    with pytest.raises(ConfigError, match=r"lora.release: easynla: vectors enter by replace@embedding"):
        require_easynla(read_sidecar(nla("qwen2")[1]))
    with pytest.raises(ValueError, match="takes every adapter for a rank-stabilised one"):
        Lora(release="easynla", rslora=False)
