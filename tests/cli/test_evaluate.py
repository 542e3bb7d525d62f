"""`nla-ray evaluate` end to end on a tiny NLA, and on the demo pair with its planted truth."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from nla_ray.errors import Exit
from nla_ray.evaluation.model import Evaluation
from nla_ray.store import connect
from nla_ray.store.places.tree import Tree
from nla_ray.tables import CONTROLS, REAL
from tests.cli.conftest import Invoke, Job
from tests.decoded import snapshot
from tests.store.conftest import bucket, s3, s3_endpoint  # noqa: F401 (fixtures)

ROOT = Path(__file__).parents[2]
CODES = {"above controls": 0, "broken": 10, "insufficient evidence": 4}


@pytest.fixture
def config(job: Job) -> Path:
    """An evaluation of the same three documents."""
    values = yaml.safe_load(job.config.read_text())
    del values["prove"]
    path = job.config.with_name("evaluate.yaml")
    path.write_text(yaml.safe_dump(values | {"minimum_documents": 2}))
    return path


def written(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "evaluation.json").read_text())
    Evaluation.model_validate(found)
    return found


def test_it_writes_data_and_a_page_and_says_the_verdict(invoke: Invoke, job: Job, config: Path) -> None:
    ended = invoke("evaluate", config)
    found = written(job.output)
    assert ended.code == CODES[found["verdict"]], ended.err
    assert f"verdict: {found['verdict']}" in ended.out and "evaluation.html" in ended.out
    assert (job.output / "evaluation.html").read_text().startswith("<!DOCTYPE html>")
    assert [one["control"] for one in found["measured"]] == [REAL, *CONTROLS]
    assert {one["rows"] for one in found["measured"]} == {3 * 2 * 2}
    assert (
        found["provenance"]["vectors"] == 6
        and found["baseline"]["reference"] == "the own vectors of this run"
    )
    assert found["robustness"]["largest_difference"] < 1e-5
    assert found["times"]["seconds_per_vector"] > 0 and found["generated_tokens"] > 0
    assert found["planted"] == []


def test_it_writes_to_s3(
    invoke: Invoke,
    config: Path,
    s3: str,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = invoke("evaluate", config, f"output={s3}")
    found = json.loads(Tree(s3).read("evaluation.json") or b"")
    assert ended.code == CODES[found["verdict"]], ended.err
    assert f"{s3}/evaluation.html" in ended.out and Tree(s3).read("evaluation.html") is not None
    assert not (tmp_path / "s3:").exists()


def test_what_was_not_read_is_said(invoke: Invoke, job: Job, config: Path) -> None:
    with job.corpus.open("a") as file:
        file.write(json.dumps({"id": "void", "text": " "}) + "\n")
    said = invoke("evaluate", config).out
    assert said.index("failed: 1 x 'text' is empty") < said.index("verdict: ")


def test_the_mean_is_that_of_the_tables(invoke: Invoke, job: Job, config: Path) -> None:
    invoke("evaluate", config)
    with connect(job.output / "tables") as connection:
        means = dict(
            connection.execute(
                """SELECT control, avg(fve_nrm::DOUBLE) FROM all_explanations
                   WHERE explanation IS NOT NULL GROUP BY control"""
            ).fetchall()
        )
    for one in written(job.output)["measured"]:
        if one["fve_nrm"]["mean"] is not None:
            assert one["fve_nrm"]["mean"] == pytest.approx(means[one["control"]], abs=1e-5)


def test_the_same_again_differs_in_times_alone(
    invoke: Invoke, job: Job, config: Path, tmp_path: Path
) -> None:
    invoke("evaluate", config)
    first, tables = written(job.output), snapshot(job.output / "tables")
    invoke("evaluate", config)
    again = written(job.output)
    assert snapshot(job.output / "tables") == tables
    invoke("evaluate", config, f"output={tmp_path / 'other'}")
    other = written(tmp_path / "other")
    assert first.pop("times")["decoded_at"] == again.pop("times")["decoded_at"]
    other.pop("times")
    assert first == again == other


def test_few_documents_are_too_little_evidence(invoke: Invoke, job: Job, config: Path) -> None:
    ended = invoke("evaluate", config, "minimum_documents=30", "controls.mean=0")
    found = written(job.output)
    assert (ended.code, found["verdict"]) == (4, "insufficient evidence")
    assert found["reasons"] == ["3 documents were decoded; 30 are needed."]


def test_vectors_that_were_extracted_before(invoke: Invoke, job: Job, config: Path, tmp_path: Path) -> None:
    invoke("evaluate", config)
    (vectors,) = (job.output / "tables" / "activations").rglob("*.parquet")
    shutil.copy(vectors, tmp_path / "vectors.parquet")
    values = yaml.safe_load(config.read_text()) | {"output": str(tmp_path / "from-vectors")}
    values["models"].pop("target")
    values["corpus"] = {"paths": [str(tmp_path / "vectors.parquet")], "vectors": {}, "id": "doc_id"}
    config.write_text(yaml.safe_dump(values))
    ended = invoke("evaluate", config)
    found = written(tmp_path / "from-vectors")
    assert ended.code == CODES[found["verdict"]], ended.err
    assert (found["provenance"]["documents"], found["provenance"]["vectors"]) == (3, 6)
    assert [one["by"] for one in found["buckets"]] == ["position", "norm"]


def test_unusable_documents_do_not_count_against_the_pair(invoke: Invoke, job: Job, config: Path) -> None:
    with job.corpus.open("a") as file:
        file.write('{"id": "empty", "text": ""}\n')
    ended = invoke("evaluate", config)
    found = written(job.output)
    assert ended.code in (0, 10) and found["provenance"]["unusable"] == 1
    assert found["measured"][0]["rows"] == 12 and found["measured"][0]["documents"] == 3


@pytest.mark.parametrize(
    ("override", "said", "code"),
    [
        ("models.ar=null", "models.ar: name the reconstructor", Exit.UNUSABLE),
        ("models.ar=nowhere/at/all", "nowhere/at/all", Exit.MISSING),
        ("corpus.paths=[missing.jsonl]", "missing.jsonl", Exit.MISSING),
        ("edited_texts=none", "edited_texts", Exit.UNUSABLE),
        ("edit=3", "unknown key", Exit.UNUSABLE),
    ],
)
def test_what_cannot_be_used_is_one_line(
    invoke: Invoke, config: Path, override: str, said: str, code: Exit
) -> None:
    assert said in invoke("evaluate", config, override).refused(code)


def test_a_file_in_the_way_is_named(invoke: Invoke, job: Job, config: Path) -> None:
    job.output.write_text("in the way")
    assert str(job.output) in invoke("evaluate", config).refused()


def test_a_corpus_without_one_vector_is_refused(invoke: Invoke, job: Job, config: Path) -> None:
    job.corpus.write_text('{"id": "a", "text": ""}\n')
    assert "none of 1 documents can be used" in invoke("evaluate", config).refused()


@pytest.mark.slow
def test_the_job_is_the_command(job: Job, config: Path) -> None:
    script = ROOT / "jobs" / "evaluate_nla.py"
    ended = subprocess.run(
        [sys.executable, str(script), "--config", str(config), "minimum_documents=30"],
        capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert ended.returncode == 4, ended.stderr
    assert written(job.output)["verdict"] == "insufficient evidence"


@pytest.mark.slow
def test_the_demo_pair_lies_above_controls_and_a_broken_one_does_not(
    invoke: Invoke, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = ROOT / "jobs" / "evaluate_demo.yaml"
    small = ["corpus.limit=12", "positions.n=2", "sampling.samples=2", "minimum_documents=5"]
    shares = "controls={shuffled: 0.7, random: 0.7, mean: 0.7, none: 0.7}"
    ended = invoke("evaluate", job, *small, shares, f"output={tmp_path / 'good'}")
    found = written(tmp_path / "good")
    assert ended.code == 0 and found["verdict"] == "above controls", ended.err
    recall = {one["prop"]: one["recall"]["share"] for one in found["planted"] if one["control"] == REAL}
    assert recall["topic"] > 0.9 and {one["control"] for one in found["planted"]} == {REAL, *CONTROLS}
    assert found["distractors"][1]["share"]["mean"] > 0.9
    # A verbalizer that is told nothing: its own answers are no better than those of the controls.
    deaf = ["models.injection=replace@embedding=0.0001", f"output={tmp_path / 'deaf'}"]
    ended = invoke("evaluate", job, *small, shares, *deaf)
    assert ended.code == 10 and written(tmp_path / "deaf")["verdict"] == "broken"
    assert "real does not lie above it" in ended.out
