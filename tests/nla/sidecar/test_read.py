"""The sidecar reader: every published dialect in, one record out."""

from __future__ import annotations

import math
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from nla_ray.config.models.injection import Injection
from nla_ray.errors import CheckpointError
from nla_ray.nla.sidecar.read import Marker, Sidecar, read_sidecar, split_template

AV_TEMPLATE = "Explain <concept>{injection_char}</concept>."
AR_TEMPLATE = "Summary: <text>{explanation}</text> <summary>"
REMOVED = object()

RELEASED_AV: dict[str, Any] = {
    "kind": "nla_model",
    "schema_version": 2,
    "role": "av",
    "stage": "rl",
    "base_checkpoint": "Qwen/Qwen2.5-7B-Instruct",
    "d_model": 3584,
    "extraction_layer_index": 20,
    "extraction": {"injection_scale": 150.0, "mse_scale": 59.87},
    "tokens": {
        "injection_char": "㈎",
        "injection_token_id": 149705,
        "injection_left_neighbor_id": 29,
        "injection_right_neighbor_id": 522,
        "critic_suffix_ids": [1318, 29, 366, 1708, 29],
    },
    "prompt_templates": {"av": AV_TEMPLATE, "ar": AR_TEMPLATE},
    "critic": {"extraction_layer_index": 20},
    "training": {"lr": 1e-6, "loss_type": "policy_loss", "global_batch_size": 512, "rollout_id": 4200},
}
RELEASED_AR = deepcopy(RELEASED_AV) | {
    "role": "ar",
    "extraction": {"injection_scale": None, "mse_scale": 59.87},
}
TOKENS = RELEASED_AV["tokens"]


def change(meta: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A copy with dotted fields set (`__` is the dot) or REMOVED."""
    meta = deepcopy(meta)
    for name, value in changes.items():
        *groups, key = name.split("__")
        here = meta
        for group in groups:
            here = here.setdefault(group, {})
        if value is REMOVED:
            here.pop(key, None)
        else:
            here[key] = value
    return meta


def write(directory: Path, meta: Any) -> Path:
    text = meta if isinstance(meta, str) else yaml.safe_dump(meta, allow_unicode=True)
    (directory / "nla_meta.yaml").write_text(text, encoding="utf-8")
    return directory


NO_LAYER = {"extraction_layer_index": REMOVED, "critic": REMOVED}

DIALECTS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("released av", RELEASED_AV, {"role": "av", "layer": 20, "injection": Injection.replacing(150.0)}),
    ("released ar", RELEASED_AR, {"role": "ar", "layer": 20, "injection": None}),
    *((f"role {r}", change(RELEASED_AV, role=r), {"role": "av"}) for r in ("actor", "verbalizer", "AV")),
    *((f"role {r}", change(RELEASED_AR, role=r), {"role": "ar"}) for r in ("critic", "reconstructor")),
    (
        "trainer's own names",
        change(RELEASED_AV, role="actor", extraction_layer_index=REMOVED)
        | {"prompt_templates": {"actor": AV_TEMPLATE, "critic": AR_TEMPLATE}},
        {"role": "av", "layer": 20, "av_template": AV_TEMPLATE, "ar_template": AR_TEMPLATE},
    ),
    (
        "long names",
        change(RELEASED_AR, role="reconstructor")
        | {"prompt_templates": {"verbalizer": AV_TEMPLATE, "reconstructor": AR_TEMPLATE}},
        {"ar_template": AR_TEMPLATE, "av_template": AV_TEMPLATE},
    ),
    ("one template", change(RELEASED_AV, prompt_templates__ar=REMOVED), {"ar_template": None}),
    ("nested d_model", change(RELEASED_AV, d_model=REMOVED, extraction__d_model=3584), {"d_model": 3584}),
    ("top-level d_model first", change(RELEASED_AV, extraction__d_model=1), {"d_model": 3584}),
    ("layer in critic", change(RELEASED_AV, extraction_layer_index=REMOVED), {"layer": 20}),
    ("layer in ar", change(RELEASED_AR, **NO_LAYER, ar__extraction_layer_index=19), {"layer": 19}),
    (
        "layer in reconstructor",
        change(RELEASED_AR, **NO_LAYER, reconstructor__extraction_layer_index=19),
        {"layer": 19},
    ),
    (
        "schema v1 holds K",
        change(RELEASED_AR, **NO_LAYER, schema_version=1) | {"critic": {"num_hidden_layers": 20}},
        {"layer": 20},
    ),
    ("schema v1 under ar", change(RELEASED_AR, **NO_LAYER, ar__num_hidden_layers=20), {"layer": 20}),
    ("layer in extraction", change(RELEASED_AV, **NO_LAYER, extraction__layer_index=32), {"layer": 32}),
    ("legacy layer", change(RELEASED_AV, **NO_LAYER, layer=24), {"layer": 24}),
    ("layer 0", change(RELEASED_AV, extraction_layer_index=0), {"layer": 0}),
    (
        "the first layer field wins",
        change(RELEASED_AV, critic__num_hidden_layers=21, extraction__layer_index=7, layer=8),
        {"layer": 20},
    ),
    (
        "legacy extras",
        change(RELEASED_AV, layer=20, role_aliases=["actor"], training__num_layers=28, ar="someone/their-ar"),
        {"layer": 20},
    ),
    (
        "numeric text",
        change(RELEASED_AV, extraction__injection_scale="80000"),
        {"injection": Injection.replacing(80000.0)},
    ),
    (
        "yaml's 6e4 is text",
        change(RELEASED_AV, extraction__injection_scale="6e4"),
        {"injection": Injection.replacing(60000.0)},
    ),
    (
        "whole number",
        change(RELEASED_AV, extraction__injection_scale=30),
        {"injection": Injection.replacing(30.0)},
    ),
    (
        "sqrt_d_model",
        change(RELEASED_AV, extraction={"injection_scale": "sqrt_d_model", "mse_scale": "sqrt_d_model"}),
        {"injection": Injection.replacing(math.sqrt(3584)), "mse_scale": math.sqrt(3584)},
    ),
    *(
        (
            f"injection {raw}",
            change(RELEASED_AV, extraction__injection_scale=raw),
            {"injection": Injection.replacing(None)},
        )
        for raw in ("raw", "none", None)
    ),
    (
        "ar without a scale",
        change(RELEASED_AR, extraction__injection_scale=REMOVED),
        {"injection": None},
    ),
    (
        "ar with a scale",
        change(RELEASED_AR, extraction__injection_scale=150.0),
        {"injection": Injection.replacing(150.0)},
    ),
    ("no mse_scale", change(RELEASED_AV, extraction__mse_scale=REMOVED), {"mse_scale": math.sqrt(3584)}),
    ("ar without extraction", change(RELEASED_AR, extraction=REMOVED), {"mse_scale": math.sqrt(3584)}),
    ("ar with null extraction", change(RELEASED_AR, extraction=None), {"mse_scale": math.sqrt(3584)}),
    ("norm none", change(RELEASED_AV, extraction__norm="none"), {}),
    ("norm null", change(RELEASED_AV, extraction__norm=None), {}),
    ("stated replacement", change(RELEASED_AV, extraction__injection_mode="replace"), {}),
    ("injection group", change(RELEASED_AV, injection={"method": "overwrite", "note": "x"}), {}),
    ("ar without tokens", change(RELEASED_AR, tokens=REMOVED), {"marker": None, "ar_suffix_ids": None}),
    ("null suffix", change(RELEASED_AV, tokens__critic_suffix_ids=None), {"ar_suffix_ids": None}),
    ("unknown keys", change(RELEASED_AV, anything={"at": ["all", 1]}), {}),
    ("numbers as text", change(RELEASED_AV, d_model="3584", extraction_layer_index="20"), {"layer": 20}),
]


@pytest.mark.parametrize(
    ("meta", "expected"), [case[1:] for case in DIALECTS], ids=[case[0] for case in DIALECTS]
)
def test_dialect(tmp_path: Path, meta: dict[str, Any], expected: dict[str, Any]) -> None:
    sidecar = read_sidecar(write(tmp_path, meta))
    assert {name: getattr(sidecar, name) for name in expected} == expected
    assert sidecar.extra == meta


def test_every_field_of_a_released_av(tmp_path: Path) -> None:
    assert read_sidecar(write(tmp_path, RELEASED_AV), role="av") == Sidecar(
        role="av",
        d_model=3584,
        layer=20,
        av_template=AV_TEMPLATE,
        ar_template=AR_TEMPLATE,
        injection=Injection.replacing(150.0),
        mse_scale=59.87,
        marker=Marker("㈎", 149705, 29, 522),
        ar_suffix_ids=(1318, 29, 366, 1708, 29),
        extra=RELEASED_AV,
        path=tmp_path / "nla_meta.yaml",
    )


@pytest.mark.parametrize(
    ("given", "injection"),
    [
        ("replace@embedding=80", Injection.replacing(80.0)),
        ("replace@embedding=sqrt_d_model", Injection.replacing(math.sqrt(3584))),
        ("add@input:2=raw", Injection("add", "input", 2, None)),
        ("add_matched@output:1", Injection("add_matched", "output", 1, 1.0)),
        ("add_matched@output:1,centred", Injection("add_matched", "output", 1, 1.0, centred=True)),
    ],
)
def test_a_given_injection_takes_the_place_of_the_released_dialects(
    tmp_path: Path, given: str, injection: Injection
) -> None:
    for meta in (RELEASED_AV, change(RELEASED_AV, extraction__injection_scale=REMOVED)):
        assert read_sidecar(write(tmp_path, meta), injection=given).injection == injection
    assert Injection.parse(str(injection), 3584) == injection


def test_a_template_has_as_many_slots_as_the_injection(tmp_path: Path) -> None:
    twice = change(RELEASED_AV, prompt_templates__av="a {injection_char}{injection_char} b")
    found = read_sidecar(write(tmp_path, twice), injection="add@input:2=raw,slots=2").injection
    assert found == Injection("add", "input", 2, None, slots=2) and Injection.parse(str(found), 3584) == found
    with pytest.raises(CheckpointError, match="stands there 2 times; exactly 3 times was expected"):
        read_sidecar(tmp_path, injection="add@input:2=raw,slots=3")
    twice["extraction"] = {"injection": "add@input:2=raw,slots=2"}
    with pytest.raises(CheckpointError, match="the pair was trained otherwise"):
        read_sidecar(write(tmp_path, twice), injection="add@input:2=raw,slots=2,centred")


def test_split_template_undoes_doubled_braces() -> None:
    assert split_template("{{json}} {explanation} {{}}", "explanation") == ("{json} ", " {}")
