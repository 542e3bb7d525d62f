"""The configuration of a training set."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from nla_ray.config.loading.load import load
from nla_ray.config.training.training_set import TrainingSetConfig
from nla_ray.errors import ConfigError

ROOT = Path(__file__).parents[3]
VALUES = {
    "output": "out",
    "target": "owner/target",
    "layer": 20,
    "corpus": {"paths": ["docs.jsonl"], "text": "text"},
    "provider": {"kind": "endpoint", "base_url": "http://127.0.0.1/v1", "model": "m", "max_requests": 9},
}
VECTORS = {"paths": ["base.parquet"], "vectors": {}, "id": "doc_id"}


def config(**changes: object) -> TrainingSetConfig:
    return TrainingSetConfig.model_validate(VALUES | changes)


def test_positions_are_those_of_the_published_sampler() -> None:
    found = config(positions_per_doc=4).positions
    assert (found.choose, found.n, found.min_position, found.special, found.limit) == (
        "random",
        4,
        50,
        False,
        None,
    )


def test_what_changes_no_row_changes_no_fingerprint() -> None:
    provider = VALUES["provider"]
    assert isinstance(provider, dict)
    same = {"max_requests": 99, "max_tokens": 5, "concurrency": 9, "key_env": "KEY", "attempts": 1}
    assert (
        config().fingerprint() == config(output="there", answers="a", provider=provider | same).fingerprint()
    )
    for changes in (
        {"seed": 1},
        {"provider": provider | {"model": "n"}},
        {"provider": provider | {"body": {"a": 1}}},
    ):
        assert config().fingerprint() != config(**changes).fingerprint()


def test_a_provider_gets_the_columns_that_it_needs() -> None:
    assert config(provider={"kind": "demo"}).reading().corpus.meta == ("truth",)
    column = config(provider={"kind": "column"}, corpus=VECTORS | {"meta": ["a"]})
    assert column.reading().corpus.meta == ("a", "api_explanation") and column.corpus.meta == ("a",)
    assert config().reading() == config()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"target": None}, "target: name the model that is read"),
        ({"redact": {"patterns": ["x"]}}, "redact: a training set keeps prompts and explanations whole"),
        ({"store_text": "none"}, "store_text: a training set keeps prompts and explanations whole"),
        ({"provider": {"kind": "endpoint", "base_url": "http://x/v1", "model": "m"}}, "Field required"),
        ({"shares": {"rl": 1}}, "shares add up to 1.55"),
        ({"provider": None}, "av_sft and ar_sft need explanations"),
        ({"templates": {"av": "no slot"}}, "should match pattern"),
        ({"templates": {"ar": "{explanation} {explanation}"}}, "belongs into the template exactly once"),
        ({"runner": {"name": "ray", "pools": {}}}, "a training set has one pool"),
        ({"layer": -1}, "greater than or equal to 0"),
        ({"near_duplicates": 0}, "greater than 0"),
    ],
)
def test_what_cannot_be_built_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        config(**changes)


@pytest.mark.parametrize("example", ["training_set_demo.yaml", "training_set_qwen7b.yaml"])
def test_the_shipped_examples_load(example: str) -> None:
    found = load(TrainingSetConfig, ROOT / "jobs" / example, ["positions_per_doc=2"])
    assert found.positions.n == 2 and found.target is not None


def test_an_unknown_key_of_a_provider_is_named_with_its_own_keys(tmp_path: Path) -> None:
    path = tmp_path / "set.yaml"
    path.write_text("output: o\ntarget: t\nlayer: 1\ncorpus: {paths: [x], text: text}\n"
                    "provider: {kind: local, model: m, batches: 3}\n")  # fmt: skip
    with pytest.raises(ConfigError, match=r"provider.local.batches: unknown key; did you mean 'batch'\?"):
        load(TrainingSetConfig, path)
