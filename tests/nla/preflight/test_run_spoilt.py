"""Each way of spoiling a pair fails the check that names it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from nla_ray.nla.preflight.run import check
from tests.conftest import NlaDirs
from tests.nla.preflight.pairs import edit_config, edit_sidecar, edit_tensors, problems, refs
from tests.tiny import tiny_tokenizer

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
    ("unknown kind", lambda t, v, r: edit_config(v, model_type="t5"), ("AV", "architecture"), "qwen2"),
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
        "use the unquantised checkpoint",
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
        lambda t, v, r: edit_tensors(r / "model.safetensors", model__norm__weight=torch.full((32,), 2.0)),
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
