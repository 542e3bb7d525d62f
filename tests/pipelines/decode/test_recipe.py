"""What rows follow from: everything that can change one is in the recipe, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nla_ray.config.decode import Baseline, DecodeConfig
from nla_ray.pipelines.decode.recipe import Recipe, recipe_of
from nla_ray.stages.code import Code

CODE = Code("c" * 64, torch="2", transformers="5", tokenizers="0")
MODELS = {"target": "t" * 64, "av": "a" * 64, "ar": "r" * 64}


def config_of(**changes: Any) -> DecodeConfig:
    """A small configuration; `corpus` and `models` add to it."""
    values = {
        "output": "out",
        "models": {"target": "t", "av": "a", "ar": "r"} | changes.pop("models", {}),
        "corpus": {"paths": ["x.jsonl"], "text": "text"} | changes.pop("corpus", {}),
    }
    return DecodeConfig.model_validate(values | changes)


def made(code: Code = CODE, **changes: Any) -> Recipe:
    """Its recipe."""
    return recipe_of(config_of(**changes), MODELS, 3, None, code)


@pytest.mark.parametrize(
    "change",
    [{"output": "elsewhere"}, {"keep": []}, {"max_failed_fraction": 1}, {"runner": {"name": "ray"}},
     {"engine": {"slots": 8, "batch_tokens": 7}}, {"models": {"av": "moved/to/a"}},
     {"corpus": {"paths": ["next/week.jsonl"]}}, {"corpus": {"limit": 7}}, {"corpus": {"unit_documents": 7}},
     {"corpus": {"units": "content"}},
     {"corpus": {"text": "body", "id": "key", "meta": ["truth"]}}, {"engine": {"device": "cuda:1"}}],
)  # fmt: skip
def test_what_changes_no_row_is_no_part(change: dict[str, Any]) -> None:
    device = {"engine": {"device": "cuda"}} if "device" in change.get("engine", {}) else {}
    assert made(**change) == made(**device)


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"sampling": {"samples": 2}}, {"sampling": {"temperature": 0}}, {"controls": {"none": 1}},
     {"positions": "every:4"}, {"engine": {"dtype": "bfloat16"}}, {"engine": {"device": "cuda"}},
     {"models": {"injection": "replace@embedding=2"}}, {"corpus": {"max_tokens": 9}},
     {"corpus": {"window": {"tokens": 9}}},
     {"models": {"av": {"path": "a", "trust_remote_code": True}}}, {"continuation": {}},
     {"corpus": {"chat": {"dropped": []}}}, {"corpus": {"vectors": {}}}],
)  # fmt: skip
def test_what_can_change_a_row_is_another_recipe(change: dict[str, Any]) -> None:
    one, other = made(), made(**change)
    assert one.fingerprint != other.fingerprint and one.sha256 != other.sha256


def test_models_layer_and_denominator_are_part() -> None:
    one = made()
    found = {
        one.sha256,
        replace(one, layer=4).sha256,
        replace(one, models=MODELS | {"ar": "b" * 64}).sha256,
        replace(one, baseline=Baseline(value=0.7, reference="r").model_dump()).sha256,
    }
    assert len(found) == 4


def test_other_code_has_other_units_and_the_same_run() -> None:
    one, other = made(), made(replace(CODE, torch="3"))
    assert one.sha256 != other.sha256 and one.run_id("d", config_of()) == other.run_id("d", config_of())


def test_what_is_kept_and_cut_names_the_run_alone() -> None:
    def run_id(**changes: Any) -> str:
        return made().run_id("d", config_of(**changes))

    cuts: list[dict[str, Any]] = [{}, {"unit_documents": 7}, {"units": "content"}]
    assert len({run_id(keep=[]), *(run_id(corpus=cut) for cut in cuts)}) == 4
    assert run_id(keep=["documents", "activations"]) == run_id(keep=["activations", "documents"])
