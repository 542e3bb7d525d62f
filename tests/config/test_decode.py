"""The decode configuration: frozen, fingerprinted, light, and described by a reviewed schema."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from nla_ray.config.decode import DecodeConfig, DecodeFile
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
    assert config().fingerprint() == "7bd520f179f9c3769e2fd8a7a01a534988e0aef1827a05ae546fbd01cf0d1ab5"


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
    (one,) = load(DecodeFile, path).each()
    assert one == load(DecodeConfig, path), "a file with one pair asks for one decode"
    Draft202012Validator(DecodeFile.model_json_schema()).validate(yaml.safe_load(path.read_text()))


LAYERS: list[dict[str, object]] = [
    {"av": "owner/av-10", "ar": "owner/ar-10", "baseline": {"value": 0.7, "reference": "ours"}},
    {"av": "owner/av-20", "layer": 20, "injection": "replace@embedding=150"},
]


def test_a_file_with_a_pair_for_each_layer_asks_for_the_decode_of_each() -> None:
    asked = DecodeFile.model_validate(VALUES | {"models": {"target": "owner/target", "layers": LAYERS}})
    first, second = (
        {name: one for name, one in layer.items() if name not in ("layer", "baseline")} for layer in LAYERS
    )
    assert asked.each() == (
        config(models={"target": "owner/target", **first}, baseline=LAYERS[0]["baseline"]),
        config(models={"target": "owner/target", **second}),
    )


@pytest.mark.parametrize(
    ("models", "changes", "said"),
    [
        ({}, {}, "name the verbalizer (av), or a pair for each layer (layers)"),
        (
            {"layers": LAYERS, "ar": "owner/ar"},
            {},
            "each of layers says its own ar; leave it out beside them",
        ),
        ({"layers": [LAYERS[1], LAYERS[1]]}, {}, "layer 20 stands twice in layers; a layer has one pair"),
        (
            {"layers": [LAYERS[1] | {"layer": 0}] * 2},
            {},
            "layer 0 stands twice in layers; a layer has one pair",
        ),
        ({"layers": LAYERS}, {"engine": {"ranks": 2}}, "is read anew for each pair; decode layer by layer"),
        ({"layers": LAYERS}, {"continuation": {}}, "is read anew for each pair; decode layer by layer"),
        (
            {"layers": LAYERS},
            {"baseline": LAYERS[0]["baseline"]},
            "it is of one pair; say it in models.layers",
        ),
        (
            {"layers": LAYERS},
            {"corpus": {"paths": ["a.parquet"], "vectors": {}}},
            "vectors that come with the corpus are of one layer; name one pair",
        ),
    ],
)
def test_layers_that_cannot_be_decoded_together_are_refused(
    models: dict[str, object], changes: dict[str, object], said: str
) -> None:
    with pytest.raises(ValidationError, match=re.escape(said)):
        DecodeFile.model_validate(VALUES | changes | {"models": {"target": "owner/target"} | models})
