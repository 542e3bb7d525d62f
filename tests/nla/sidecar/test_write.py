"""The sidecar writer: the released dialect, read back to the same record, foreign keys kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from nla_ray.config.models.injection import Injection
from nla_ray.nla.sidecar.read import Marker, Sidecar, read_sidecar
from nla_ray.nla.sidecar.write import write_sidecar
from tests.nla.sidecar.test_read import AR_TEMPLATE, AV_TEMPLATE, DIALECTS, write


@pytest.mark.parametrize("meta", [case[1] for case in DIALECTS], ids=[case[0] for case in DIALECTS])
def test_every_dialect_comes_back_as_it_was_understood(tmp_path: Path, meta: dict[str, Any]) -> None:
    before = read_sidecar(write(tmp_path, meta))
    write_sidecar(tmp_path, before)
    after = read_sidecar(tmp_path)
    assert replace(after, extra={}) == replace(before, extra={})
    again = after.extra
    write_sidecar(tmp_path, after)
    assert read_sidecar(tmp_path).extra == again


def test_the_released_dialect_is_written(tmp_path: Path) -> None:
    old = {
        "kind": "nla_model",
        "schema_version": 1,
        "role": "actor",
        "extraction": {"d_model": 8, "injection_scale": "9", "note": "kept"},
        "critic": {"num_hidden_layers": 3, "lr": 0.1},
        "ar": {"num_hidden_layers": 3},
        "layer": 3,
        "prompt_templates": {"actor": AV_TEMPLATE, "critic": AR_TEMPLATE, "judge": "kept"},
        "tokens": {
            "injection_char": "㈎",
            "injection_token_id": 5,
            "injection_left_neighbor_id": 6,
            "injection_right_neighbor_id": 7,
            "pm_token_id": 8,
        },
        "role_aliases": ["kept"],
    }
    write_sidecar(tmp_path, read_sidecar(write(tmp_path, old)))
    written = yaml.safe_load((tmp_path / "nla_meta.yaml").read_text(encoding="utf-8"))
    assert written == {
        "kind": "nla_model",
        "schema_version": 2,
        "role": "av",
        "d_model": 8,
        "extraction_layer_index": 3,
        "extraction": {"injection_scale": 9.0, "mse_scale": 8**0.5, "note": "kept"},
        "tokens": old["tokens"] | {"critic_suffix_ids": None},
        "prompt_templates": {"av": AV_TEMPLATE, "ar": AR_TEMPLATE, "judge": "kept"},
        "critic": {"extraction_layer_index": 3, "lr": 0.1},
        "role_aliases": ["kept"],
    }


def test_a_sidecar_made_from_nothing(tmp_path: Path) -> None:
    made = Sidecar(
        role="av",
        d_model=16,
        layer=1,
        av_template=AV_TEMPLATE,
        ar_template=None,
        injection=Injection.replacing(4.0),
        mse_scale=4.0,
        marker=Marker("㈎", 1, 2, 3),
        extra={"stage": "sl", "training": {"lr": 0.002}},
    )
    write_sidecar(tmp_path, made)
    found = read_sidecar(tmp_path, role="av")
    assert replace(found, extra={}, path=made.path) == replace(made, extra={})
    assert found.extra["training"] == {"lr": 0.002}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["nla_meta.yaml"]


def test_writing_does_not_change_what_was_read(tmp_path: Path) -> None:
    before = read_sidecar(write(tmp_path, DIALECTS[0][1]))
    write_sidecar(tmp_path, before)
    assert before.extra == DIALECTS[0][1]
