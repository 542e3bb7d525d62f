"""The decode configuration: frozen, fingerprinted, light, and described by a reviewed schema."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from nla_ray.config.decode import DecodeConfig
from nla_ray.config.loading.load import load

ROOT = Path(__file__).parents[2]
VALUES = {
    "output": "out",
    "models": {"target": "owner/target", "av": {"path": "owner/pair", "subfolder": "av"}},
    "corpus": {"paths": ["docs.jsonl"], "messages": "messages"},
}


def config(**changes: object) -> DecodeConfig:
    return DecodeConfig.model_validate(VALUES | changes)


def test_it_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        config().seed = 1


def test_the_fingerprint_is_of_what_changes_results() -> None:
    assert config().fingerprint() == config(seed=0, output="elsewhere").fingerprint()
    assert config().fingerprint() != config(seed=1).fingerprint()
    assert config().fingerprint() != config(controls={"none": 0.1}).fingerprint()


def test_the_fingerprint_does_not_change_by_itself() -> None:
    """Units are found again by it: a change of defaults or of fields is a decision."""
    assert config().fingerprint() == "9c05ab07aaa7e744d5c9a7e7860b2a638e9d08c35b2d4081add9d9f17b9ec107"


def test_it_loads_without_torch_and_ray() -> None:
    code = (
        "import sys, nla_ray.config.decode, nla_ray.config.loading.load, nla_ray.tables; print(*sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"torch", "ray", "transformers"} & set(loaded)


def test_every_setting_is_described() -> None:
    schema = DecodeConfig.model_json_schema()
    for name, model in schema["$defs"].items():
        for field, value in model.get("properties", {}).items():
            described = "description" in value or "$ref" in value
            assert described or name in ("DecodeConfig", "ModelRef"), f"{name}.{field}"


@pytest.mark.parametrize("path", sorted((ROOT / "jobs").glob("decode_*.yaml")), ids=lambda path: path.name)
def test_shipped_configurations_are_valid(path: Path) -> None:
    load(DecodeConfig, path)
    Draft202012Validator(DecodeConfig.model_json_schema()).validate(yaml.safe_load(path.read_text()))
