"""The preflight: all green on every family, what it forgives, and what it will not look at."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, processors

from nla_ray.config.models.reference import ModelRef
from nla_ray.errors import CheckpointError, ConfigError
from nla_ray.nla.preflight.run import check
from tests.conftest import NlaDirs
from tests.nla.model.test_resolve import cache_snapshot
from tests.nla.preflight.pairs import edit_sidecar, edit_tensors, problems, refs
from tests.tiny import FAMILIES


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_passes(nla: Callable[[str], NlaDirs], family: str) -> None:
    checks = check(*refs(nla(family)))
    assert {made.status for made in checks} == {"pass"}
    assert [made.detail for made in checks if made.name == "context"] == ["1024 tokens"]
    bos = next(made.detail for made in checks if (made.subject, made.name) == ("AR", "special tokens"))
    assert bos.startswith("no BOS" if family.startswith("qwen") else "the prompt starts with the BOS")


def test_an_av_alone(nla: Callable[[str], NlaDirs]) -> None:
    checks = check(refs(nla("qwen2"))[0])
    assert not problems(checks)
    skipped = {made.name for made in checks if made.status == "skip"}
    assert skipped == {"layer", "d_model", "K in the target", "context"}


def test_a_megatron_lm_head_and_a_bias_are_fine(copied: Callable[[str], NlaDirs]) -> None:
    directories = copied("qwen2")
    edit_tensors(
        directories[2] / "model.safetensors",
        lm_head__weight=torch.eye(32),
        model__norm__weight=torch.ones(32),
    )
    edit_tensors(directories[2] / "value_head.safetensors", bias=torch.zeros(32))
    checks = check(*refs(directories))
    assert not problems(checks)
    details = {made.name: made.detail for made in checks if made.subject == "AR"}
    assert "Megatron" in details["no lm_head"]
    assert "with bias" in details["value head"]


def set_bos(directory: Path, single: str) -> None:
    """Let a tokenizer add other special tokens."""
    core = Tokenizer.from_file(str(directory / "tokenizer.json"))
    names = [name for name in single.split() if name.startswith("<")]
    core.post_processor = processors.TemplateProcessing(
        single=single, special_tokens=[(name, core.token_to_id(name)) for name in names]
    )
    core.save(str(directory / "tokenizer.json"))


@pytest.mark.parametrize(
    ("family", "single", "says"),
    [
        ("llama", "$A", "adds no BOS"),
        ("gemma3", "$A", "adds no BOS"),
        ("qwen2", "$A <|im_end|>", "after the prompt"),
    ],
)
def test_special_tokens_of_the_ar(
    copied: Callable[[str], NlaDirs], family: str, single: str, says: str
) -> None:
    directories = copied(family)
    set_bos(directories[2], single)
    assert says in problems(check(*refs(directories)))["AR", "special tokens"]


def test_a_doubled_bos_in_the_avs_prompt(copied: Callable[[str], NlaDirs]) -> None:
    directories = copied("llama")
    template = directories[1] / "chat_template.jinja"
    template.write_text("{{ bos_token }}" + template.read_text())
    assert "twice" in problems(check(*refs(directories)))["AV", "special tokens"]


def test_a_missing_chat_template_is_lent_by_the_target(copied: Callable[[str], NlaDirs]) -> None:
    directories = copied("qwen2")
    (directories[1] / "chat_template.jinja").unlink()
    checks = check(*refs(directories))
    assert not problems(checks)
    assert any(made.detail.startswith("the target's") for made in checks if made.name == "chat template")
    alone = problems(check(*refs(directories)[:2]))
    assert "no chat template" in alone["AV", "chat template"]


def test_an_injection_given_by_the_user(copied: Callable[[str], NlaDirs]) -> None:
    directories = copied("qwen2")
    meta = yaml.safe_load((directories[1] / "nla_meta.yaml").read_text(encoding="utf-8"))
    del meta["extraction"]["injection_scale"]
    (directories[1] / "nla_meta.yaml").write_text(yaml.safe_dump(meta), encoding="utf-8")
    assert "extraction.injection_scale" in problems(check(*refs(directories)))["AV", "sidecar"]
    assert not problems(check(*refs(directories), injection="replace@embedding=12"))
    with pytest.raises(ConfigError, match="injection: found"):
        check(*refs(directories), injection="loud")


def test_a_scale_that_float16_cannot_hold(copied: Callable[[str], NlaDirs]) -> None:
    directories = copied("gemma3")
    weights = directories[1] / "model.safetensors"
    save_file({n: x.half() for n, x in load_file(weights).items()}, weights, metadata={"format": "pt"})
    assert not problems(check(*refs(directories)))
    edit_sidecar(directories[1], extraction__injection_scale=80000)
    assert "use a bfloat16 checkpoint" in problems(check(*refs(directories)))["AV", "injection"]


def test_shards_with_an_index(copied: Callable[[str], NlaDirs]) -> None:
    directories = copied("qwen2")
    whole = directories[2] / "model.safetensors"
    tensors = load_file(whole)
    whole.unlink()
    names = sorted(tensors)
    index = {name: f"model-{1 + number % 2}.safetensors" for number, name in enumerate(names)}
    for file in set(index.values()):
        save_file({name: tensors[name] for name in names if index[name] == file}, directories[2] / file)
    (directories[2] / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    assert not problems(check(*refs(directories)))
    (directories[2] / "model-1.safetensors").unlink()
    assert "the download is not complete" in problems(check(*refs(directories)))["AR", "weights"]


@pytest.mark.parametrize(
    ("pick", "says"),
    [
        (lambda t, v, r: (r, None, None), "swap the two"),
        (lambda t, v, r: (v, v, None), "swap the two"),
        (lambda t, v, r: (t, None, None), "not an NLA checkpoint"),
        (lambda t, v, r: (v / "config.json", None, None), "is not a directory"),
        (lambda t, v, r: (v, r, v.parent), "no config.json"),
        (lambda t, v, r: (v, r, v), "AV or AR where the target was expected"),
        (lambda t, v, r: (v, r, r), "AV or AR where the target was expected"),
    ],
)
def test_unusable_input_is_raised(nla: Callable[[str], NlaDirs], pick: Callable[..., Any], says: str) -> None:
    picked = [ModelRef(path=str(path)) if path else None for path in pick(*nla("qwen2"))]
    with pytest.raises(CheckpointError, match=says):
        check(*picked)


@pytest.mark.parametrize("index", [True, False])
def test_on_the_hub_only_small_files_are_fetched(
    copied: Callable[[str], NlaDirs], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, index: bool
) -> None:
    """What a download without weights leaves: the names of an index where there is one, no tensor data."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    for directory in copied("qwen2")[1:]:
        names = list(load_file(directory / "model.safetensors"))
        (directory / "model.safetensors").unlink()
        if index:
            weight_map = dict.fromkeys(names, "model-1.safetensors")
            (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
        snapshot = cache_snapshot(tmp_path / "cache", f"owner/{directory.name}", [])
        shutil.copytree(directory, snapshot)
    checks = check(ModelRef.parse("owner/av"), ModelRef.parse("owner/ar"))
    assert not problems(checks)
    skipped = {(made.subject, made.name) for made in checks if made.status == "skip"}
    assert (("AR", "no final norm") in skipped) is not index
    assert (("AV", "weights") in skipped) is not index


def test_no_tensor_but_the_head_is_read(copied: Callable[[str], NlaDirs]) -> None:
    """Headers alone: a checkpoint whose tensor data is a hole in the file passes, whatever its size."""
    directories = copied("qwen2")
    for directory in directories:
        file = directory / "model.safetensors"
        raw = file.read_bytes()
        header = 8 + int.from_bytes(raw[:8], "little")
        file.write_bytes(raw[:header] + b"\xff" * (len(raw) - header))
    assert not problems(check(*refs(directories)))
