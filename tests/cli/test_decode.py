"""`nla-ray decode` end to end on a tiny NLA: the table, its record, and every input it refuses."""

from __future__ import annotations

import json
import shutil
from collections import Counter

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

from nla_ray.tables import CONTROLS, EXPLANATIONS
from tests.cli.conftest import TEXT, Invoke, Job
from tests.tiny import tiny_checkpoint, tiny_tokenizer


def test_it_writes_the_declared_table_and_a_record(invoke: Invoke, job: Job) -> None:
    ended = invoke("decode", job.config)
    assert ended.code == 0, ended.err
    table = pq.read_table(job.output / "explanations.parquet")
    assert table.schema.equals(EXPLANATIONS, check_metadata=False)
    rows = table.to_pylist()
    assert Counter(row["control"] for row in rows) == dict.fromkeys(("real", *CONTROLS), 3 * 2 * 2)
    assert len({(row["row_id"], row["sample"]) for row in rows}) == len(rows)
    assert {json.loads(row["meta"])["truth"]["n"] for row in rows} == {0, 1, 2}
    assert all(row["control_source"] for row in rows if row["control"] == "shuffled")
    record = json.loads((job.output / "run.json").read_text())
    assert {row["run_id"] for row in rows} == {record["run_id"]}
    assert record["baseline"]["reference"] == "the own vectors of this run"
    assert record["corpus"]["documents"] == 3
    assert "outcomes of real rows:" in ended.out and "vectors/s" in ended.out and str(job.output) in ended.out


def test_the_same_run_again_gives_the_same_rows(invoke: Invoke, job: Job) -> None:
    assert invoke("decode", job.config).code == 0
    first = pq.read_table(job.output / "explanations.parquet")
    assert invoke("decode", job.config).code == 0
    assert pq.read_table(job.output / "explanations.parquet").equals(first)


def test_rows_do_not_depend_on_the_order_of_the_corpus(invoke: Invoke, job: Job) -> None:
    columns = ["row_id", "sample", "raw_text", "position", "token"]
    plain = ["controls.shuffled=0", "controls.mean=0"]
    invoke("decode", job.config, *plain)
    first = pq.read_table(job.output / "explanations.parquet", columns=columns)
    job.corpus.write_text("".join(reversed(job.corpus.read_text().splitlines(keepends=True))))
    invoke("decode", job.config, *plain, "corpus.unit_documents=1", f"output={job.output}2")
    again = pq.read_table(f"{job.output}2/explanations.parquet", columns=columns)
    assert again.equals(first)


def test_scores_are_of_the_own_vector(invoke: Invoke, job: Job) -> None:
    assert invoke("decode", job.config, "sampling.temperature=0").code == 0
    rows = pq.read_table(job.output / "explanations.parquet").to_pylist()
    scored = [row for row in rows if row["cos"] is not None]
    assert scored
    value = json.loads((job.output / "run.json").read_text())["baseline"]["value"]
    for row in scored:
        assert row["mse_nrm"] == pytest.approx(2 * (1 - row["cos"]), abs=1e-5)
        assert row["fve_nrm"] == pytest.approx(1 - row["mse_nrm"] / value, rel=1e-4, abs=1e-4)


def test_the_published_baseline_is_used_and_the_configured_one_wins(invoke: Invoke, job: Job) -> None:
    job.sidecar(job.ar, fve_baseline={"value": 0.5, "reference": "training set", "n": 9})
    invoke("decode", job.config)
    assert json.loads((job.output / "run.json").read_text())["baseline"]["n"] == 9
    invoke("decode", job.config, "--replace", "baseline.value=0.25", "baseline.reference=mine")
    assert json.loads((job.output / "run.json").read_text())["baseline"]["reference"] == "mine"
    job.sidecar(job.ar, fve_baseline={"valeu": 0.5})
    assert "fve_baseline" in invoke("decode", job.config, "--replace").refused()


def test_without_a_reconstructor_there_are_texts_and_no_scores(invoke: Invoke, job: Job) -> None:
    ended = invoke("decode", job.config, "models.ar=null")
    assert ended.code == 0 and "fve_nrm" not in ended.out
    table = pq.read_table(job.output / "explanations.parquet")
    assert table["cos"].null_count == table["ar"].null_count == table.num_rows


def test_bad_documents_are_rows_with_a_reason(invoke: Invoke, job: Job) -> None:
    with job.corpus.open("a") as lines:
        lines.write('{broken\n{"id": "empty", "text": ""}\n{"id": "short", "text": "the"}\n')
    ended = invoke("decode", job.config)
    assert ended.code == 0 and "failed 3" in ended.out
    rows = pq.read_table(job.output / "explanations.parquet").to_pylist()
    reasons = {row["doc_id"]: row["reason"] for row in rows if row["position"] is None}
    assert "not a line of JSON" in reasons[f"{job.corpus}:4"]
    assert reasons["empty"] == "'text' is empty"
    assert "no position to read" in reasons["short"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_broken_vector_is_a_row(invoke: Invoke, job: Job, value: float) -> None:
    weights = load_file(job.target / "model.safetensors")
    tokenizer = tiny_tokenizer("qwen2")
    (broken,) = tokenizer.encode("~")
    weights["model.embed_tokens.weight"][broken] = value
    save_file(weights, job.target / "model.safetensors", metadata={"format": "pt"})
    with job.corpus.open("a") as lines:
        lines.write(json.dumps({"id": "sick", "text": "~" + TEXT}) + "\n")
    ended = invoke("decode", job.config, "corpus.unit_documents=4")
    assert ended.code == 0, ended.err
    rows = pq.read_table(job.output / "explanations.parquet").to_pylist()
    sick = [row for row in rows if row["doc_id"] == "sick" and row["control"] == "real"]
    assert len(sick) == 4
    assert {(row["outcome"], row["finish_reason"]) for row in sick} == {("failed", "failed")}
    assert all("NaN" in row["reason"] for row in sick)
    assert all(row["outcome"] != "failed" for row in rows if row["control"] == "mean")


def test_a_run_that_explains_nothing_does_not_look_like_success(invoke: Invoke, job: Job) -> None:
    assert invoke("decode", job.config, "positions.min_position=5000").code == 1


def test_a_folder_with_another_run_is_kept(invoke: Invoke, job: Job) -> None:
    assert invoke("decode", job.config).code == 0
    before = (job.output / "explanations.parquet").read_bytes()
    assert "holds another run" in invoke("decode", job.config, "seed=1").refused()
    assert (job.output / "explanations.parquet").read_bytes() == before
    assert invoke("decode", job.config, "seed=1", "--replace").code == 0


def test_missing_files(invoke: Invoke, job: Job) -> None:
    assert "nowhere.yaml: cannot read" in invoke("decode", "nowhere.yaml").refused()
    assert (
        "nowhere.jsonl: no such corpus"
        in invoke("decode", job.config, "corpus.paths=[nowhere.jsonl]").refused()
    )
    assert "/nowhere/av" in invoke("decode", job.config, "models.av=/nowhere/av").refused()
    assert "columns are id, text, truth" in invoke("decode", job.config, "corpus.text=body").refused()
    (job.target / "model.safetensors").unlink()
    assert str(job.target) in invoke("decode", job.config).refused()


def test_an_unknown_key(invoke: Invoke, job: Job) -> None:
    refused = invoke("decode", job.config, "engine.slotz=64").refused()
    assert "engine.slotz: unknown key; did you mean 'slots'?" in refused and str(job.config) in refused


def test_the_wrong_kind_of_checkpoint(invoke: Invoke, job: Job) -> None:
    refused = invoke("decode", job.config, f"models.av={job.ar}", f"models.ar={job.av}").refused()
    assert "AV" in refused and "AR" in refused and str(job.ar) in refused
    assert "no nla_meta.yaml" in invoke("decode", job.config, f"models.av={job.target}").refused()


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        ({"injection_token_id": 5}, "one id"),
        ({"injection_left_neighbor_id": 5}, "neighbours"),
        ({"injection_char": "concept"}, "one id"),
    ],
)
def test_tokenizer_drift_names_the_rule(
    invoke: Invoke, job: Job, tokens: dict[str, object], words: str
) -> None:
    import yaml

    old = yaml.safe_load((job.av / "nla_meta.yaml").read_text(encoding="utf-8"))["tokens"]
    job.sidecar(job.av, tokens=old | tokens)
    refused = invoke("decode", job.config).refused()
    assert "marker" in refused and words in refused


def test_a_marker_in_pieces(invoke: Invoke, job: Job) -> None:
    tiny_tokenizer("qwen2", marker=False).save_pretrained(job.av)
    assert "marker: one id" in invoke("decode", job.config).refused()


def test_models_of_different_widths(
    invoke: Invoke, job: Job, tmp_path_factory: pytest.TempPathFactory
) -> None:
    wide = tiny_checkpoint("qwen2", tmp_path_factory.mktemp("wide"), config={"hidden_size": 64})
    refused = invoke("decode", job.config, f"models.target={wide}").refused()
    assert "32" in refused and "64" in refused


def test_a_layer_that_the_target_does_not_have(invoke: Invoke, job: Job) -> None:
    for directory in (job.av, job.ar):
        job.sidecar(directory, extraction_layer_index=99, critic={}, extraction={"injection_scale": 1.0})
    assert "99" in invoke("decode", job.config).refused()


def test_an_unknown_architecture(invoke: Invoke, job: Job) -> None:
    job.model_config(job.target, model_type="gpt2", architectures=["GPT2LMHeadModel"])
    refused = invoke("decode", job.config).refused()
    assert "gpt2" in refused and "qwen2" in refused


def test_a_head_that_is_not_finite(invoke: Invoke, job: Job) -> None:
    head = load_file(job.ar / "value_head.safetensors")
    head["weight"][3:] = torch.nan
    save_file(head, job.ar / "value_head.safetensors")
    refused = invoke("decode", job.config).refused()
    assert "value_head.safetensors" in refused and "weight" in refused


def test_pickled_weights(invoke: Invoke, job: Job) -> None:
    weights = load_file(job.av / "model.safetensors")
    (job.av / "model.safetensors").unlink()
    torch.save(weights, job.av / "pytorch_model.bin")
    assert "safetensors" in invoke("decode", job.config).refused()


def test_a_target_without_a_chat_template(invoke: Invoke, job: Job) -> None:
    (job.target / "chat_template.jinja").unlink()
    chat = {"id": "a", "messages": [{"role": "user", "content": TEXT}]}
    job.corpus.write_text(json.dumps(chat) + "\n")
    refused = invoke("decode", job.config, "corpus.text=null", "corpus.messages=messages").refused()
    assert "no chat template" in refused


def test_an_output_that_cannot_be_written(invoke: Invoke, job: Job) -> None:
    job.output.write_text("in the way")
    assert "cannot write into" in invoke("decode", job.config).refused()


def test_a_gpu_that_is_not_there(invoke: Invoke, job: Job) -> None:
    assert "CUDA devices" in invoke("decode", job.config, "engine.device=cuda:77").refused()


def test_nothing_is_loaded_before_the_checks(invoke: Invoke, job: Job) -> None:
    """A target whose weights are rubbish is not touched where the AV is already refused."""
    shutil.copy(job.corpus, job.target / "model.safetensors")
    job.sidecar(job.av, role="ar")
    assert str(job.av) in invoke("decode", job.config).refused()
