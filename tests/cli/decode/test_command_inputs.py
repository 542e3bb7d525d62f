"""`nla-ray decode` on other inputs than text: chats with roles, vectors that were extracted before."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from nla_ray.nla.extraction import Extractor
from tests.cli.conftest import TEXT, Invoke, Job
from tests.decoded import Row, record_of, rows_of, runs_of, same_rows, sound
from tests.tiny import D_MODEL, LAYER, tiny_tokenizer

OF_THE_RUN = ("run_id", "unit_id", "meta", "doc_tokens", "flags", "role")


def new_rows(job: Job, before: set[str]) -> list[Row]:
    """The rows of the one run that was added."""
    (run,) = {*runs_of(job.output)} - before
    return rows_of(job.output, run=run)


@pytest.fixture
def vectors(job: Job) -> Path:
    """The vectors that a decode of the job's corpus would extract at positions 12 and 15, with a sidecar."""
    tokenizer = tiny_tokenizer("qwen2")
    documents = [json.loads(line) for line in job.corpus.read_text().splitlines()]
    ids = [tokenizer.encode(document["text"]) for document in documents]
    found = Extractor(job.target, [LAYER], batch_tokens=4096).extract(ids, [[12, 15]] * len(ids))
    table = {
        "doc_id": [document["id"] for document in documents for _ in range(2)],
        "n_raw_tokens": [13, 16] * len(ids),
        "detokenized_text_truncated": [tokenizer.decode(one[:n]) for one in ids for n in (13, 16)],
        "activation_vector": pa.array(np.concatenate(found)[:, 0].tolist(), pa.list_(pa.float32(), D_MODEL)),
        "activation_layer": [LAYER] * (2 * len(ids)),
    }
    path = job.corpus.with_name("vectors.parquet")
    pq.write_table(pa.table(table), path)
    sidecar(path)
    return path


def sidecar(path: Path, **changes: object) -> None:
    extraction = {"base_model": "owner/target", "d_model": D_MODEL, "layer_index": LAYER, "norm": "none"}
    meta = {"kind": "nla_dataset", "schema_version": 1, "stage": "base", "row_count": 6}
    Path(f"{path}.nla_meta.yaml").write_text(yaml.safe_dump(meta | {"extraction": extraction | changes}))


def overrides(path: Path) -> list[str]:
    columns = "vectors: {}, id: doc_id, text: detokenized_text_truncated, unit_documents: 6"
    return [f"corpus={{paths: [{path}], {columns}}}"]


def test_given_vectors_give_the_same_rows_as_extracted_ones(invoke: Invoke, job: Job, vectors: Path) -> None:
    documents = [json.loads(line) | {"at": [12, 15]} for line in job.corpus.read_text().splitlines()]
    job.corpus.write_text("".join(json.dumps(document) + "\n" for document in documents))
    listed = invoke("decode", job.config, "positions.choose=column", "positions.column=at")
    assert listed.code == 0, listed.err
    extracted = rows_of(job.output)
    given = invoke("decode", job.config, "--add", *overrides(vectors))
    assert given.code == 0, given.err
    again = new_rows(job, {extracted[0]["run_id"]})
    assert len(again) == 3 * 2 * 2 * 5
    same_rows(extracted, again, within=1e-3, apart=OF_THE_RUN)


def test_without_a_target_the_rows_name_what_the_sidecar_names(
    invoke: Invoke, job: Job, vectors: Path
) -> None:
    ended = invoke("decode", job.config, *overrides(vectors), "models.target=null")
    assert ended.code == 0, ended.err
    assert "6 documents" in ended.out or "documents: 3" in ended.out
    for row in rows_of(job.output):
        assert row["target"] == "owner/target" and row["token"] is None and row["position"] in (12, 15)
        assert "detokenized_text_truncated" in json.loads(str(row["meta"]))


def test_vectors_without_a_position_have_none(invoke: Invoke, job: Job, vectors: Path) -> None:
    corpus = f"corpus={{paths: [{vectors}], vectors: {{tokens: null}}}}"
    ended = invoke("decode", job.config, corpus, "models.target=null", "controls={shuffled: 1, random: 0}")
    assert ended.code == 0, ended.err
    # All three documents begin alike, and without an id the same vector is the same document.
    read = [row for row in rows_of(job.output) if row["outcome"] != "failed"]
    assert len(rows_of(job.output)) - len(read) == 4
    assert len({(row["row_id"], row["sample"]) for row in read}) == len(read) == 2 * 2 * 2
    assert {row["position"] for row in rows_of(job.output)} == {None} and not any(
        "early" in str(row["flags"]) for row in read
    )


def test_a_stale_row_count_is_a_warning(invoke: Invoke, job: Job, vectors: Path) -> None:
    pq.write_table(pq.read_table(vectors).slice(1), vectors)
    ended = invoke("decode", job.config, *overrides(vectors))
    assert ended.code == 0 and "warning: " in ended.out and "row_count says 6" in ended.out
    assert record_of(job.output)["warnings"]


def test_vectors_that_do_not_fit_the_pair_are_refused(invoke: Invoke, job: Job, vectors: Path) -> None:
    sidecar(vectors, layer_index=LAYER + 1)
    refused = invoke("decode", job.config, *overrides(vectors)).refused()
    assert f"layer is {LAYER + 1}, the verbalizer's is {LAYER}" in refused


def test_a_row_of_vectors_that_does_not_fit_is_a_row(invoke: Invoke, job: Job, vectors: Path) -> None:
    table = pq.read_table(vectors)
    layers = pa.array([LAYER, 9, *[LAYER] * 4])
    position = table.schema.get_field_index("activation_layer")
    pq.write_table(table.set_column(position, "activation_layer", layers), vectors)
    ended = invoke("decode", job.config, *overrides(vectors))
    assert ended.code == 0 and "failed 1" in ended.out
    (bad,) = [row for row in rows_of(job.output) if row["outcome"] == "failed"]
    assert "a vector of layer 9" in str(bad["reason"]) and bad["doc_id"] == "doc0"


def test_chats_keep_roles_and_mark_the_template(invoke: Invoke, job: Job) -> None:
    turns = [{"role": "user", "content": TEXT}, {"role": "assistant", "content": "it is true"}]
    job.corpus.write_text(json.dumps({"id": "a", "messages": turns}) + "\n")
    corpus = f"corpus={{paths: [{job.corpus}], messages: messages, id: id}}"
    choose = "positions={choose: all, min_position: 0, template: true, special: true}"
    plain = "controls={shuffled: 0, random: 0}"
    assert invoke("decode", job.config, corpus, choose, plain, "sampling.samples=1").code == 0
    found = sorted(rows_of(job.output), key=lambda row: int(row["position"]))
    for row in found:
        flags = row["flags"]
        assert isinstance(flags, list) and ("template_token" in flags) == (row["role"] == "template")
    said = "".join(str(row["token"]) for row in found if row["role"] == "assistant")
    assert said == "it is true"
    chosen = "positions={roles: [assistant], regex: tru}"
    assert invoke("decode", job.config, corpus, "--add", chosen, plain).code == 0
    assert {row["token"] for row in new_rows(job, {found[0]["run_id"]})} == {" true"}


def test_the_target_answers_first(invoke: Invoke, job: Job) -> None:
    asked = ["continuation={max_new_tokens: 6}", "positions={choose: all, part: response, special: true}"]
    plain = ["controls={shuffled: 0, random: 0}", "sampling.samples=1"]
    assert invoke("decode", job.config, *asked, *plain).code == 0
    first = rows_of(job.output)
    for row in first:
        meta = json.loads(str(row["meta"]))
        assert isinstance(row["position"], int) and row["position"] >= meta["response_start"]
        assert "truth" in meta and isinstance(meta["response"], str)
    job.corpus.write_text("".join(reversed(job.corpus.read_text().splitlines(keepends=True))))
    assert invoke("decode", job.config, *asked, *plain, "--add", "corpus.unit_documents=1").code == 0
    same_rows(new_rows(job, {first[0]["run_id"]}), first, within=1e-5, apart=("run_id", "unit_id", "fve_nrm"))


def test_an_expression_that_is_none(invoke: Invoke, job: Job) -> None:
    refused = invoke("decode", job.config, "positions.regex='(a'").refused()
    assert "positions.regex" in refused and "RE2" in refused


@pytest.mark.parametrize("together", [6, 1])
def test_two_vectors_of_one_document_may_both_be_unusable(
    invoke: Invoke, job: Job, vectors: Path, together: int
) -> None:
    table = pq.read_table(vectors)
    layers = pa.array([LAYER + 1] * 2 + [LAYER] * (len(table) - 2))
    at = table.schema.get_field_index("activation_layer")
    pq.write_table(table.set_column(at, "activation_layer", layers), vectors)
    columns = "vectors: {}, id: doc_id, text: detokenized_text_truncated"
    corpus = f"corpus={{paths: [{vectors}], {columns}, unit_documents: {together}}}"
    assert invoke("decode", job.config, corpus).code == 0
    assert sum(row["reason"] is not None and "layer" in row["reason"] for row in rows_of(job.output)) == 2
    sound(job.output)
