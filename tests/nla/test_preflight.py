"""The preflight: all green on every family, and each way of spoiling a pair fails the check that names it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, processors

from nla_ray.config.reference import ModelRef
from nla_ray.errors import CheckpointError, ConfigError
from nla_ray.nla.preflight import check
from nla_ray.nla.preflight_parts import Check
from tests.conftest import NlaDirs
from tests.nla.test_resolve import cache_snapshot
from tests.tiny import FAMILIES, tiny_tokenizer


def refs(directories: Sequence[Path]) -> list[ModelRef]:
    """AV, AR and target, from the fixture's (target, AV, AR)."""
    return [ModelRef(path=str(directories[index])) for index in (1, 2, 0)]


def problems(checks: Sequence[Check]) -> dict[tuple[str, str], str]:
    return {(made.subject, made.name): made.detail for made in checks if made.status == "fail"}


@pytest.fixture
def copied(nla: Callable[[str], NlaDirs], tmp_path: Path) -> Callable[[str], NlaDirs]:
    """A pair of one family that may be spoilt."""

    def copy(family: str) -> NlaDirs:
        target, av, ar = (
            Path(shutil.copytree(source, tmp_path / family / source.name)) for source in nla(family)
        )
        return target, av, ar

    return copy


def edit_sidecar(directory: Path, **changes: Any) -> None:
    path = directory / "nla_meta.yaml"
    meta = yaml.safe_load(path.read_text(encoding="utf-8"))
    for name, value in changes.items():
        group, _, key = name.rpartition("__")
        (meta[group] if group else meta)[key] = value
    path.write_text(yaml.safe_dump(meta, allow_unicode=True), encoding="utf-8")


def edit_config(directory: Path, **changes: Any) -> None:
    path = directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_tensors(file: Path, **changes: torch.Tensor | None) -> None:
    """Set or (None) drop tensors; `__` is the dot of a name."""
    tensors = load_file(file)
    for name, tensor in changes.items():
        tensors.pop(name.replace("__", "."), None)
        if tensor is not None:
            tensors[name.replace("__", ".")] = tensor
    save_file(tensors, file, metadata={"format": "pt"})


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_passes(nla: Callable[[str], NlaDirs], family: str) -> None:
    checks = check(*refs(nla(family)))
    assert {made.status for made in checks} == {"pass"}
    bos = next(made.detail for made in checks if (made.subject, made.name) == ("AR", "special tokens"))
    assert bos.startswith("no BOS" if family.startswith("qwen") else "the prompt starts with the BOS")


def test_an_av_alone(nla: Callable[[str], NlaDirs]) -> None:
    checks = check(refs(nla("qwen2"))[0])
    assert not problems(checks)
    assert {made.name for made in checks if made.status == "skip"} == {"layer", "d_model", "K in the target"}


NAN_HEAD = torch.eye(32)
NAN_HEAD[::2] = float("nan")
Spoil = Callable[[Path, Path, Path], object]

SPOILT: list[tuple[str, Spoil, tuple[str, str], str]] = [
    (
        "whitened",
        lambda t, v, r: edit_sidecar(v, extraction__norm="whitened_zca_v1"),
        ("AV", "sidecar"),
        "extraction.norm",
    ),
    (
        "no slot",
        lambda t, v, r: edit_sidecar(v, prompt_templates__av="x"),
        ("AV", "sidecar"),
        "prompt_templates.av",
    ),
    (
        "no ar slot",
        lambda t, v, r: edit_sidecar(r, prompt_templates__ar="x"),
        ("AR", "sidecar"),
        "prompt_templates.ar",
    ),
    (
        "raw mse",
        lambda t, v, r: edit_sidecar(r, extraction__mse_scale=None),
        ("AR", "sidecar"),
        "extraction.mse_scale",
    ),
    (
        "K fields",
        lambda t, v, r: edit_sidecar(v, extraction__layer_index=1),
        ("AV", "layer fields"),
        "layer_index 1",
    ),
    ("d_model", lambda t, v, r: edit_sidecar(v, d_model=64), ("AV", "d_model"), "hidden_size 32"),
    ("AR's d_model", lambda t, v, r: edit_sidecar(r, d_model=64), ("AR", "d_model"), "hidden_size 32"),
    ("K beyond the AV", lambda t, v, r: edit_sidecar(v, extraction_layer_index=4), ("AV", "blocks"), "0..3"),
    (
        "AV cut short",
        lambda t, v, r: edit_config(v, num_hidden_layers=5, layer_types=None),
        ("AV", "blocks"),
        "says 5 blocks",
    ),
    (
        "marker id",
        lambda t, v, r: edit_sidecar(v, tokens__injection_token_id=9),
        ("AV", "marker: one id"),
        "rule 1",
    ),
    (
        "neighbour",
        lambda t, v, r: edit_sidecar(v, tokens__injection_left_neighbor_id=9),
        ("AV", "marker: neighbours"),
        "rule 3",
    ),
    (
        "marker twice",
        lambda t, v, r: edit_sidecar(v, prompt_templates__av="㈎ <concept>{injection_char}</concept>"),
        ("AV", "marker: once"),
        "rule 2",
    ),
    (
        "drift",
        lambda t, v, r: tiny_tokenizer("qwen2", marker=False).save_pretrained(v),
        ("AV", "marker: one id"),
        "rule 1",
    ),
    (
        "small vocabulary",
        lambda t, v, r: edit_config(v, vocab_size=300),
        ("AV", "chat template"),
        "embedding has 300 rows",
    ),
    ("unknown kind", lambda t, v, r: edit_config(v, model_type="mamba"), ("AV", "architecture"), "qwen2"),
    ("no config", lambda t, v, r: (r / "config.json").unlink(), ("AR", "architecture"), "no config.json"),
    ("no tokenizer", lambda t, v, r: (r / "tokenizer.json").unlink(), ("AR", "tokenizer"), "no tokenizer"),
    (
        "no weights",
        lambda t, v, r: (v / "model.safetensors").unlink(),
        ("AV", "weights"),
        "no model.safetensors",
    ),
    (
        "pickle",
        lambda t, v, r: (v / "model.safetensors").rename(v / "pytorch_model.bin"),
        ("AV", "weights"),
        "convert them to safetensors",
    ),
    (
        "quantized",
        lambda t, v, r: edit_tensors(v / "model.safetensors", q=torch.ones(2, dtype=torch.int8)),
        ("AV", "weights"),
        "unquantized",
    ),
    (
        "depth",
        lambda t, v, r: edit_sidecar(r, extraction_layer_index=1),
        ("AR", "depth K+1"),
        "K+1 = 2 was expected",
    ),
    (
        "layer_types",
        lambda t, v, r: edit_config(r, layer_types=["full_attention"] * 4),
        ("AR", "architecture"),
        "layer_types",
    ),
    (
        "missing block",
        lambda t, v, r: save_file(
            {n: x for n, x in load_file(r / "model.safetensors").items() if "layers.1." not in n},
            r / "model.safetensors",
        ),
        ("AR", "depth K+1"),
        "2 blocks (0..2)",
    ),
    (
        "final norm",
        lambda t, v, r: edit_tensors(r / "model.safetensors", model__norm__weight=torch.ones(32)),
        ("AR", "no final norm"),
        "model.norm.weight",
    ),
    (
        "whole lm_head",
        lambda t, v, r: edit_tensors(r / "model.safetensors", lm_head__weight=torch.ones(349, 32)),
        ("AR", "no lm_head"),
        "[349, 32]",
    ),
    (
        "no head",
        lambda t, v, r: (r / "value_head.safetensors").unlink(),
        ("AR", "value head"),
        "no value_head.safetensors",
    ),
    (
        "head's shape",
        lambda t, v, r: edit_tensors(r / "value_head.safetensors", weight=torch.ones(32, 16)),
        ("AR", "value head"),
        "[32, 32] was expected",
    ),
    (
        "head's key",
        lambda t, v, r: edit_tensors(r / "value_head.safetensors", scale=torch.ones(1)),
        ("AR", "value head"),
        "only weight and bias are known",
    ),
    (
        "head not finite",
        lambda t, v, r: edit_tensors(r / "value_head.safetensors", weight=NAN_HEAD),
        ("AR", "value head finite"),
        "value_head.safetensors: weight: 16 of 32 rows",
    ),
    (
        "head's bias not finite",
        lambda t, v, r: edit_tensors(r / "value_head.safetensors", bias=NAN_HEAD[0].clone()),
        ("AR", "value head finite"),
        "bias: 32 of 32 rows",
    ),
    (
        "suffix",
        lambda t, v, r: edit_sidecar(r, tokens__critic_suffix_ids=[1, 2]),
        ("AR", "prompt suffix"),
        "records [1, 2]",
    ),
    (
        "not one pair",
        lambda t, v, r: edit_sidecar(v, extraction_layer_index=1),
        ("pair", "layer"),
        "not one pair",
    ),
    ("target's width", lambda t, v, r: edit_config(t, hidden_size=64), ("pair", "d_model"), "target 64"),
    (
        "target too short",
        lambda t, v, r: edit_config(t, num_hidden_layers=2, layer_types=None),
        ("pair", "K in the target"),
        "0..1",
    ),
]


@pytest.mark.parametrize(
    ("spoil", "where", "says"), [case[1:] for case in SPOILT], ids=[case[0] for case in SPOILT]
)
def test_spoilt(copied: Callable[[str], NlaDirs], spoil: Spoil, where: tuple[str, str], says: str) -> None:
    directories = copied("qwen2")
    spoil(*directories)
    found = problems(check(*refs(directories)))
    assert where in found, found
    assert says in found[where]
    assert "\n" not in found[where]


def test_a_megatron_lm_head_and_a_bias_are_fine(copied: Callable[[str], NlaDirs]) -> None:
    directories = copied("qwen2")
    edit_tensors(directories[2] / "model.safetensors", lm_head__weight=torch.ones(32, 32))
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


def test_a_scale_given_by_the_user(copied: Callable[[str], NlaDirs]) -> None:
    directories = copied("qwen2")
    meta = yaml.safe_load((directories[1] / "nla_meta.yaml").read_text(encoding="utf-8"))
    del meta["extraction"]["injection_scale"]
    (directories[1] / "nla_meta.yaml").write_text(yaml.safe_dump(meta), encoding="utf-8")
    assert "extraction.injection_scale" in problems(check(*refs(directories)))["AV", "sidecar"]
    assert not problems(check(*refs(directories), injection_scale="12"))
    with pytest.raises(ConfigError, match="injection scale"):
        check(*refs(directories), injection_scale="loud")


def test_a_scale_that_float16_cannot_hold(copied: Callable[[str], NlaDirs]) -> None:
    directories = copied("gemma3")
    weights = directories[1] / "model.safetensors"
    save_file({n: x.half() for n, x in load_file(weights).items()}, weights, metadata={"format": "pt"})
    assert not problems(check(*refs(directories)))
    edit_sidecar(directories[1], extraction__injection_scale=80000)
    assert "use a bfloat16 checkpoint" in problems(check(*refs(directories)))["AV", "injection scale"]


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
