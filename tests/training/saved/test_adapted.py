"""What is trained on from an adapter is released whole; what is released as one is read on its base."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nla_ray.config.models.reference import ModelRef
from nla_ray.config.training.lora import Lora
from nla_ray.nla.model.backbone import load_causal_lm
from nla_ray.nla.model.resolve import resolve
from nla_ray.nla.reconstruction.reconstructor import Reconstructor
from nla_ray.nla.sidecar.read import read_sidecar
from nla_ray.training.lora import Adapting
from nla_ray.training.models import load_av, new_ar
from nla_ray.training.saved.adapter import Over, write_adapter
from nla_ray.training.saved.release import write_av
from nla_ray.training.world import full_state
from tests.conftest import NlaDirs
from tests.nla.model.adapters.trained import outcome, trained
from tests.tiny import tiny_checkpoint


@pytest.mark.parametrize("targets", [["q_proj"], ["lm_head"]])
def test_an_adapter_of_a_tied_head_is_released_untied(
    nla: Callable[[str], NlaDirs], tmp_path: Path, targets: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NLA_RAY_CACHE", str(tmp_path / "cache"))
    base = tiny_checkpoint("qwen2", tmp_path / "base", config={"tie_word_embeddings": True})
    adapter = tmp_path / "adapter"
    trained(base, adapter, target_modules=targets)
    (adapter / "nla_meta.yaml").write_bytes((nla("qwen2")[1] / "nla_meta.yaml").read_bytes())
    view = resolve(ModelRef.parse(f"{adapter} on {base}"))
    model = load_av(view)
    write_av(tmp_path / "av", model, full_state(model), model.sidecar)
    released, read = (
        outcome(load_causal_lm(one, dtype=torch.float32, device="cpu")) for one in (tmp_path / "av", view)
    )
    torch.testing.assert_close(released, read, rtol=1e-6, atol=1e-6)


def test_a_new_reconstructors_adapter_is_read_over_the_whole_target(
    nla: Callable[[str], NlaDirs], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NLA_RAY_CACHE", str(tmp_path / "cache"))
    target, _, ar = nla("qwen2")
    options = Lora(rank=2, release="adapter")
    model = new_ar(target, read_sidecar(ar, role="ar"), lora=Adapting(options, torch.float32, 0))
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(0.05 * torch.randn_like(weight))
    over = Over(options, ModelRef(path=str(target)))
    write_adapter(tmp_path / "tuned", model, full_state(model), model.sidecar, over)
    ids = model.prompts(["an explanation"])[0]
    with torch.no_grad():
        trained_D = model(torch.tensor([ids]), torch.tensor([len(ids)]))[0]
    read_D = Reconstructor(resolve(ModelRef.parse(f"{tmp_path / 'tuned'} on {target}"))).reconstruct_ids(
        [ids]
    )[0]
    torch.testing.assert_close(torch.from_numpy(read_D), trained_D, rtol=1e-4, atol=1e-5)
