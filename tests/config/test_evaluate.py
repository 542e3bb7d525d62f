"""The configuration of an evaluation."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from nla_ray.config.evaluate import EvaluateConfig
from nla_ray.config.loading.load import load
from nla_ray.errors import ConfigError

ROOT = Path(__file__).parents[2]
VALUES = {
    "output": "out",
    "models": {"target": "owner/target", "av": "owner/av", "ar": "owner/ar"},
    "corpus": {"paths": ["docs.jsonl"], "text": "text"},
}


def config(**changes: object) -> EvaluateConfig:
    return EvaluateConfig.model_validate(VALUES | changes)


def test_every_control_is_decoded_and_the_vectors_are_kept() -> None:
    decoding = config().decoding()
    assert set(decoding.keep) == {"documents", "activations"}
    assert all(share > 0 for share in decoding.controls.model_dump().values())
    assert (decoding.output, decoding.sampling.samples, decoding.positions.n) == ("out/tables", 4, 4)
    assert config(tables="s3://bucket/tables").decoding().output == "s3://bucket/tables"


def test_where_it_is_written_does_not_matter() -> None:
    assert config().fingerprint() == config(output="elsewhere", tables="there").fingerprint()
    assert config().fingerprint() != config(edited_texts=5).fingerprint()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"models": {"target": "t", "av": "a"}}, "models.ar: name the reconstructor"),
        ({"models": {"av": "a", "ar": "r"}}, "models.target: name the model that is read"),
        ({"edited_texts": 0}, "greater than or equal to 1"),
        ({"minimum_documents": 1}, "greater than or equal to 2"),
        ({"keep": ["documents"]}, "Extra inputs"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        config(**changes)


def test_the_shipped_example_loads() -> None:
    found = load(EvaluateConfig, ROOT / "jobs" / "evaluate_demo.yaml", ["corpus.limit=10"])
    assert found.corpus.limit == 10 and found.corpus.meta == ("truth",)


def test_an_unknown_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "evaluate.yaml"
    path.write_text(
        "output: out\nmodels: {target: t, av: a, ar: r}\ncorpus: {paths: [x], text: text}\nedited: 3\n"
    )
    with pytest.raises(ConfigError, match="edited: unknown key; did you mean 'edited_texts'"):
        load(EvaluateConfig, path)
