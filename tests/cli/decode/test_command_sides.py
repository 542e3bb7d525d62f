"""What a decode keeps beside its explanations: the documents as the target read them, and the vectors."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.cli.conftest import TEXT, Invoke, Job
from tests.decoded import Row, rows_of, runs_of, same_rows, select, sound
from tests.tiny import D_MODEL, LAYER

PLAIN = ("controls={shuffled: 0, random: 0}", "sampling.samples=1")
EVERY = "positions={choose: all, min_position: 0, special: true, template: true}"


def documents_of(tables: str | Path) -> dict[str, Row]:
    return {row["doc_id"]: row for row in rows_of(tables, "documents")}


def read_again(document: Row) -> list[str]:
    """The tokens of a document, cut out of its text."""
    ends = [0, *document["token_ends"]]
    return [document["text"][start:end] for start, end in pairwise(ends)]


@pytest.mark.slow
def test_tokens_can_be_cut_out_of_the_text_that_is_kept(invoke: Invoke, tmp_path: Path) -> None:
    values = {
        "output": str(tmp_path / "out"),
        "models": {"target": "demo:target", "av": "demo:av"},
        "corpus": {"paths": ["demo:corpus"], "text": "text", "messages": "messages", "id": "id", "limit": 12},
        "sampling": {"max_new_tokens": 2},
    }
    (tmp_path / "decode.yaml").write_text(yaml.safe_dump(values))
    ended = invoke("decode", tmp_path / "decode.yaml", EVERY, *PLAIN)
    assert ended.code == 0, ended.err
    documents, rows = documents_of(tmp_path / "out"), rows_of(tmp_path / "out")
    assert len(documents) == 12 and len(rows) == sum(one["n_tokens"] for one in documents.values())
    assert {one["roles"] is None for one in documents.values()} == {True, False}, "texts and chats"
    for row in rows:
        document = documents[row["doc_id"]]
        assert read_again(document)[row["position"]].strip() == row["token"].strip()
        assert document["roles"] is None or document["roles"][row["position"]] == row["role"]
    for document in documents.values():
        assert len(document["token_ends"]) == document["n_tokens"] and not document["truncated"]
        assert document["token_ends"][-1] == len(document["text"])


def test_a_document_that_is_cut_is_kept_as_far_as_it_was_read(invoke: Invoke, job: Job) -> None:
    assert invoke("decode", job.config, "corpus.max_tokens=16", *PLAIN).code == 0
    for doc_id, document in documents_of(job.output).items():
        text = TEXT * (int(doc_id.removeprefix("doc")) + 1)
        assert (
            document["n_tokens"] == 16
            and document["truncated"]
            and document["source"].startswith(f"{job.corpus.name}:")
        )
        assert text.startswith(document["text"]) and "".join(read_again(document)) == document["text"] != text


def test_documents_that_cannot_be_read_are_kept_too(invoke: Invoke, job: Job) -> None:
    with job.corpus.open("a") as lines:
        lines.write('{broken\n{"id": "empty", "text": ""}\n')
    assert invoke("decode", job.config, *PLAIN).code == 0
    found = documents_of(job.output)
    assert (
        len(found) == 5 and found["empty"]["n_tokens"] == 0 and found[f"{job.corpus.name}:4"]["text"] is None
    )


def test_the_answer_of_the_target_is_part_of_what_was_read(invoke: Invoke, job: Job) -> None:
    asked = ["continuation={max_new_tokens: 6}", "positions={choose: all, part: response, special: true}"]
    ended = invoke("decode", job.config, *asked, *PLAIN)
    assert ended.code == 0, ended.err
    sound(job.output)
    documents, rows = documents_of(job.output), rows_of(job.output)
    (plan,) = select(job.output, "SELECT rows, facts->'$.corpus.vectors' AS vectors FROM runs")
    assert plan["vectors"] == "null" and plan["rows"] == len(rows), "counted while it ran"
    for doc_id, document in documents.items():
        positions = [row["position"] for row in rows if row["doc_id"] == doc_id]
        assert sorted(positions) == list(range(document["response_start"], document["n_tokens"]))
        assert "".join(read_again(document)) == document["text"]
    dry = invoke("decode", job.config, "--dry-run", *asked, *PLAIN)
    assert "vectors: as many as the target's answers have" in dry.out and "estimated" not in dry.out


def test_only_what_is_asked_for_is_kept(invoke: Invoke, job: Job) -> None:
    assert invoke("decode", job.config, "keep=[]").code == 0
    assert rows_of(job.output, "documents") == rows_of(job.output, "activations") == []
    assert not (job.output / "documents").exists() and not (job.output / "activations").exists()


def test_vectors_that_were_kept_are_a_corpus_with_the_same_answers(invoke: Invoke, job: Job) -> None:
    assert invoke("decode", job.config, "keep=[documents, activations]").code == 0
    sound(job.output)
    vectors = rows_of(job.output, "activations")
    first = rows_of(job.output)
    own = {row["row_id"]: row for row in first if row["control"] == "real"}
    assert {row["row_id"] for row in vectors} == own.keys() and len(vectors) == 3 * 2
    for row in vectors:
        assert row["n_raw_tokens"] == own[row["row_id"]]["position"] + 1 and row["activation_layer"] == LAYER
        assert len(row["activation_vector"]) == D_MODEL
        assert np.linalg.norm(row["activation_vector"]) == pytest.approx(own[row["row_id"]]["norm"], rel=1e-6)
    kept = f"{job.output}/activations/*/*.parquet"
    corpus = f"corpus={{paths: ['{kept}'], vectors: {{}}, id: doc_id, unit_documents: 6}}"
    ended = invoke("decode", job.config, corpus, "models.target=null", "--add")
    assert ended.code == 0, ended.err
    (second,) = {*runs_of(job.output)} - {first[0]["run_id"]}
    again = rows_of(job.output, run=second)
    unknown = ("run_id", "unit_id", "token", "token_id", "doc_tokens", "target", "meta", "fve_nrm", "flags")
    same_rows(again, first, within=1e-5, apart=unknown)
