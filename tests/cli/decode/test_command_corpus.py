"""`nla-ray decode` says what of a corpus it does not read: before, in and after a run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import TEXT, Invoke, Job
from tests.decoded import record_of, rows_of

LITTLE = ["controls={shuffled: 0, random: 0}", "sampling.samples=1"]


@pytest.fixture
def folder(job: Job) -> Path:
    """Two files that are read, one without documents, and five things that are not read."""
    folder = job.corpus.with_name("data #1 [x]")
    (folder / "sub").mkdir(parents=True)
    shutil.copy(job.corpus, folder / "A.JSONL")
    (folder / "b.json").write_text(json.dumps([{"id": "b", "text": TEXT, "truth": float("nan")}]))
    for name in ("c.csv", "d.pdf", "_SUCCESS", ".e.crc"):
        (folder / name).touch()
    (folder / "blank.ndjson").write_text("\n \n")
    return folder


def test_what_is_not_read_is_said_and_recorded(invoke: Invoke, job: Job, folder: Path) -> None:
    asked = ["decode", job.config, f"corpus.paths=['{folder}']", "output=week #4", *LITTLE]
    asked[-3] = f"output={job.output} #4"
    dry = invoke(*asked, "--dry-run")
    assert dry.code == 0 and "documents: 4, 0 of them unusable" in dry.out, dry.err
    ended = invoke(*asked)
    assert ended.code == 0, ended.err
    assert ended.out.index("not read: ") < ended.out.index("checking the models")
    warnings = record_of(f"{job.output} #4")["warnings"]
    for name in (
        "c.csv",
        "d.pdf",
        "sub",
        "blank.ndjson: it holds no documents",
        ". or _: 2",
        "'truth' are not finite",
    ):
        assert sum(name in line for line in warnings) == 1, warnings
        assert name in dry.out and name in ended.out
    assert {row["doc_id"] for row in rows_of(f"{job.output} #4")} == {"doc0", "doc1", "doc2", "b"}
    assert "blank" not in invoke(*asked, "--dry-run", "--add", "corpus.limit=2").out


def test_a_corpus_without_a_usable_document_ends_before_the_models(invoke: Invoke, job: Job) -> None:
    job.corpus.write_text('{"id": 1, "text": 5}\n{"id": 2, "text": 6}\n{"id": 3\n')
    for more in ([], ["--dry-run"]):
        said = invoke("decode", job.config, "corpus.meta=[]", *more).refused()
        assert (
            "none of 3 documents" in said
            and "2 x 'text' holds int" in said
            and f"{job.corpus.name}:1" in said
        )
    assert not job.output.exists()


def test_repeated_ids_come_first_in_plan_and_summary(invoke: Invoke, job: Job) -> None:
    lines = job.corpus.read_text()
    job.corpus.with_name("corpus-2.jsonl").write_text(lines.replace("the model", "a model"))
    asked = ["decode", job.config, f"corpus.paths=[{job.corpus.parent}/*.jsonl]", *LITTLE]
    dry = invoke(*asked, "--dry-run")
    first = next(line for line in dry.out.splitlines() if ": " in line)
    assert first.startswith("warning: 50%, 3 of 6 documents") and "is used by" in first, dry.out
    assert "  unusable: 3 x document id 'doc" in dry.out
    ended = invoke(*asked)
    assert ended.code == 0 and ended.out.index("warning: 50%") < ended.out.index("documents: 6")
    kept = invoke(*asked, "corpus.id=[@file, id]", "--dry-run", "--add")
    assert "documents: 6, 0 of them unusable" in kept.out, kept.err
