"""Before a unit is made the pair is proven to read its target, once; what is not is refused or said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nla_ray.config.decode import DecodeConfig
from nla_ray.config.models.reference import ModelRef
from nla_ray.errors import CheckpointError, Exit
from nla_ray.models import directory_of
from nla_ray.nla.model.ranks import part, spread
from nla_ray.nla.proof import prove as proofs
from nla_ray.pipelines.decode.pair.proving import Proving, why_not
from nla_ray.pipelines.decode.run import decode
from nla_ray.stages.code import code_of
from nla_ray.store import connect
from tests.nla.preflight.pairs import edit_sidecar

Make = Callable[..., DecodeConfig]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """`make(limit=1, models={...})`: two documents, one position each, by the demo pair; no controls."""
    corpus = tmp_path / "corpus.jsonl"
    texts = ("The weather was mild.", "A cake is baked at noon.")
    corpus.write_text("".join(json.dumps({"text": text * 5}) + "\n" for text in texts))

    def config(limit: int = 2, **changes: Any) -> DecodeConfig:
        models = {"target": "demo:target", "av": "demo:av", "ar": "demo:ar"} | changes.pop("models", {})
        values = {
            "output": str(tmp_path / "out"),
            "models": models,
            "corpus": {"paths": [str(corpus)], "text": "text", "limit": limit, "unit_documents": 1},
            "positions": {"n": 1},
            "controls": {"shuffled": 0, "random": 0},
            "sampling": {"max_new_tokens": 3},
            "engine": {"slots": 4, "device": "cpu"},
        }
        return DecodeConfig.model_validate(values | changes)

    return config


def demo_av(tmp_path: Path, **extraction: object) -> str:
    """A copy of the demo's verbalizer whose sidecar says this of how vectors enter."""
    av = shutil.copytree(directory_of(ModelRef.parse("demo:av")), tmp_path / "av")
    edit_sidecar(av, extraction={"norm": "none", **extraction})
    return str(av)


def refused(*_: object) -> None:
    raise AssertionError("it was proven again")


@pytest.mark.slow
def test_a_run_records_its_proof_and_no_other_run_proves_again(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = decode(make(limit=1))
    proof = first.summary.record["proof"]
    assert proof["verdict"] == "proven" and proof["low"] > 0.1 * (1 - proof["others"])
    assert [one["injection"] for one in proof["tried"]] == [proof["injection"]]
    monkeypatch.setattr(Proving, "__call__", refused)
    second = decode(make(), add=True)
    assert second.run_id != first.run_id and second.summary.record["proof"] == proof
    runs = connect(make().output).sql("SELECT DISTINCT injection, proof FROM runs").fetchall()
    rows = connect(make().output).sql("SELECT DISTINCT injection FROM explanations").fetchall()
    assert runs == [("replace@embedding=29.325", "proven")] and rows == [("replace@embedding=29.325",)]


@pytest.mark.slow
def test_a_proof_shares_its_models_among_the_ranks(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    config, found = make(engine={"slots": 4, "device": "cpu", "ranks": 2}), list[int]()

    def counted(ranks: int, *args: Any, **options: Any) -> Any:
        found.append(ranks)
        return spread(ranks, *args, **options)

    monkeypatch.setattr(proofs, "spread", counted)
    try:
        assert Proving(config.models, config.engine, code_of())(None).proven == "replace@embedding=29.325"
    finally:
        part()
    assert found == [2, 2, 2]


@pytest.mark.slow
@pytest.mark.parametrize("said_by", ["the sidecar", "an option"])
def test_what_is_said_and_does_not_read_is_refused_before_anything_is_written(
    make: Make, tmp_path: Path, said_by: str
) -> None:
    added = {"injection": "add_matched@output:1"}
    sidecar, option = (added, {}) if said_by == "the sidecar" else ({}, added)
    config = make(models={"av": demo_av(tmp_path, **sidecar), **option})
    with pytest.raises(CheckpointError, match=r"refused: add_matched@output:1=1\.0 is said") as error:
        decode(config)
    assert "add_matched@output:1=1.0: cosine" in str(error.value) and error.value.exit_code == Exit.UNUSABLE
    assert not [
        file for file in Path(config.output).rglob("*") if file.is_file() and "probe" not in file.parts
    ]


@pytest.mark.slow
def test_an_injection_that_nothing_tells_is_taken_where_it_alone_reads_and_else_refused(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make(limit=1, models={"av": demo_av(tmp_path)})
    with pytest.raises(CheckpointError, match=r"undecided: the pair reads under .*cosine 0\.\d+ with own"):
        decode(config)
    monkeypatch.setattr("nla_ray.pipelines.decode.pair.proving.code_of", lambda: "other code")
    monkeypatch.setattr("nla_ray.pipelines.decode.pair.proving.require_code", lambda _: None)
    monkeypatch.setattr(proofs, "RIVALS", ("add_matched@output:1", "replace@embedding=29.325"))
    found = decode(config)
    facts = connect(config.output).sql("SELECT injection, proof FROM runs").fetchall()
    assert facts == [("replace@embedding=29.325", "proven")]
    assert found.summary.record["proof"]["wanted"] is None


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, None),
        ({"prove": False}, "prove is off"),
        ({"models": {"ar": None}}, "no reconstructor is named, to score answers"),
    ],
)
def test_why_nothing_is_proven(make: Make, changes: dict[str, Any], why: str | None) -> None:
    assert why_not(make(**changes)) == why


def test_a_run_that_proves_nothing_says_so(make: Make) -> None:
    record = decode(make(limit=1, prove=False)).summary.record["proof"]
    assert record == {"verdict": "not proven", "why": "prove is off", "off": True}
