"""An adapter is held against its base before a weight is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nla_ray.config.models.reference import ModelRef
from nla_ray.nla.preflight.parts import Check
from nla_ray.nla.preflight.run import check
from tests.conftest import NlaDirs
from tests.nla.model.adapters.trained import trained
from tests.tiny import tiny_checkpoint, tiny_tokenizer

Nla = Callable[[str], NlaDirs]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Views of the test's own."""
    monkeypatch.setenv("NLA_RAY_CACHE", str(tmp_path / "cache"))


def checked(nla: Nla, target: str) -> dict[str, Check]:
    _, av, ar = nla("qwen2")
    made = check(*(ModelRef.parse(str(one)) for one in (av, ar, target)))
    return {one.name: one for one in made if one.subject == "target"}


def test_an_adapter_that_fits(nla: Nla, tmp_path: Path) -> None:
    target = nla("qwen2")[0]
    trained(target, tmp_path / "tuned")
    found = checked(nla, f"{tmp_path / 'tuned'} on {target}")
    assert {one.status for one in found.values()} == {"pass"}
    assert found["adapter"].detail == f"tuned fits; by its own words it was trained over '{target}'"


def test_an_adapter_as_av_and_as_ar(nla: Nla, tmp_path: Path) -> None:
    target, av, ar = nla("qwen2")
    for own in (av, ar):
        trained(target, tmp_path / own.name, target_modules=r".*layers\.[012]\.mlp\.up_proj")
        for name in ("nla_meta.yaml", "value_head.safetensors"):
            if (own / name).exists():
                (tmp_path / own.name / name).write_bytes((own / name).read_bytes())
    refs = [ModelRef.parse(f"{tmp_path / own.name} on {target}") for own in (av, ar)]
    made = check(*refs, ModelRef(path=str(target)))
    assert [one for one in made if one.status == "fail"] == []
    assert [one.subject for one in made if one.name == "adapter"] == ["AV", "AR"]


def test_a_narrower_base(nla: Nla, tmp_path: Path) -> None:
    trained(tiny_checkpoint("qwen2", tmp_path / "own", config={"intermediate_size": 40}), tmp_path / "tuned")
    found = checked(nla, f"{tmp_path / 'tuned'} on {nla('qwen2')[0]}")["adapter"]
    assert found.status == "fail"
    assert "down_proj has 48 inputs; it was trained over another model" in found.detail


def test_another_tokenizer(nla: Nla, tmp_path: Path) -> None:
    target = nla("qwen2")[0]
    trained(target, tmp_path / "tuned")
    tiny_tokenizer("qwen2", marker=False).save_pretrained(tmp_path / "tuned")
    found = checked(nla, f"{tmp_path / 'tuned'} on {target}")["adapter"]
    assert found.status == "fail"
    assert "its tokenizer is not its base's" in found.detail
