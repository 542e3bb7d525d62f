"""`nla-ray decode` end to end on a tiny NLA: the tables, their record, and every input it refuses."""

from __future__ import annotations

import json
import shutil
from collections import Counter

import pytest
import torch
from safetensors.torch import load_file, save_file

from nla_ray.errors import Exit
from nla_ray.store import open_store
from nla_ray.store.runs.manifest import committed_runs
from nla_ray.store.upkeep.compact import compact
from nla_ray.tables import CONTROLS
from tests.cli.conftest import TEXT, Invoke, Job
from tests.decoded import record_of, rows_of, runs_of, same_rows, select, snapshot, sound
from tests.tiny import tiny_checkpoint, tiny_tokenizer


def test_it_commits_the_planned_rows_and_a_record(invoke: Invoke, job: Job) -> None:
    ended = invoke("decode", job.config)
    assert ended.code == 0, ended.err
    sound(job.output)
    rows = rows_of(job.output)
    assert Counter(row["control"] for row in rows) == dict.fromkeys(("real", *CONTROLS), 3 * 2 * 2)
    assert len({(row["row_id"], row["sample"]) for row in rows}) == len(rows)
    assert {json.loads(row["meta"])["truth"]["n"] for row in rows} == {0, 1, 2}
    assert all(row["control_source"] for row in rows if row["control"] == "shuffled")
    (run,) = select(job.output, "FROM runs")
    assert {row["run_id"] for row in rows} == {run["run_id"]} and run["rows"] == len(rows)
    record = record_of(job.output)
    assert record["baseline"]["reference"] == "the own vectors of this run"
    assert (record["documents"], record["vectors"], record["attempt"]["units"]) == (3, 3 * 2 * 5, 1)
    assert set(record["busy_seconds"]) == {"read", "extract", "verbalize", "reconstruct", "write"}
    assert record["attempt"]["peak_bytes"] > 1 << 20
    assert "outcomes of real rows:" in ended.out and "vectors/s" in ended.out and str(job.output) in ended.out
    # The pair has random weights.
    assert "warning: fve_nrm of the real rows is -" in ended.out
    assert "30 vectors with controls" in ended.out and "3, 6 vectors and 24 controls, 60 rows" in ended.out


def test_a_finished_run_again_says_so_and_touches_nothing(invoke: Invoke, job: Job) -> None:
    assert invoke("decode", job.config).code == 0
    before = snapshot(job.output)
    again = invoke("decode", job.config)
    assert again.code == 0 and "finished before: " in again.out and "nothing was done" in again.out
    assert snapshot(job.output) == before


def test_the_same_config_elsewhere_gives_the_same_run(invoke: Invoke, job: Job) -> None:
    assert invoke("decode", job.config).code == 0
    assert invoke("decode", job.config, f"output={job.output}2").code == 0
    same_rows(rows_of(job.output), rows_of(f"{job.output}2"))


def test_rows_do_not_depend_on_the_order_of_the_corpus(invoke: Invoke, job: Job) -> None:
    columns = "FROM all_explanations SELECT row_id, sample, raw_text, position, token ORDER BY row_id, sample"
    plain = ["controls.shuffled=0", "controls.mean=0"]
    assert invoke("decode", job.config, *plain).code == 0
    job.corpus.write_text("".join(reversed(job.corpus.read_text().splitlines(keepends=True))))
    small = ["corpus.unit_documents=1", f"output={job.output}2"]
    assert invoke("decode", job.config, *plain, *small).code == 0
    assert select(job.output, columns) == select(f"{job.output}2", columns)


def test_scores_are_of_the_own_vector(invoke: Invoke, job: Job) -> None:
    assert invoke("decode", job.config, "sampling.temperature=0").code == 0
    rows = rows_of(job.output)
    scored = [row for row in rows if row["cos"] is not None]
    assert scored
    value = record_of(job.output)["baseline"]["value"]
    for row in scored:
        assert row["mse_nrm"] == pytest.approx(2 * (1 - row["cos"]), abs=1e-5)
        assert row["fve_nrm"] == pytest.approx(1 - row["mse_nrm"] / value, rel=1e-4, abs=1e-4)


def test_the_published_baseline_is_used_and_the_configured_one_wins(invoke: Invoke, job: Job) -> None:
    job.sidecar(job.ar, fve_baseline={"value": 0.5, "reference": "training set", "n": 9})
    invoke("decode", job.config)
    assert record_of(job.output)["baseline"]["n"] == 9
    (first,) = runs_of(job.output)
    assert invoke("decode", job.config, "--add", "baseline.value=0.25", "baseline.reference=mine").code == 0
    (mine,) = {*runs_of(job.output)} - {first}
    assert record_of(job.output, run=mine)["baseline"]["reference"] == "mine"
    for run, value in ((first, 0.5), (mine, 0.25)):
        for row in rows_of(job.output, run=run):
            if row["mse_nrm"] is not None:
                assert row["fve_nrm"] == pytest.approx(1 - row["mse_nrm"] / value, abs=1e-5)
    job.sidecar(job.ar, fve_baseline={"valeu": 0.5})
    assert "fve_baseline" in invoke("decode", job.config, "--add").refused()


def test_without_a_reconstructor_there_are_texts_and_no_scores(invoke: Invoke, job: Job) -> None:
    ended = invoke("decode", job.config, "models.ar=null")
    assert ended.code == 0 and "fidelity" not in ended.out
    assert {(row["cos"], row["ar"]) for row in rows_of(job.output)} == {(None, None)}


def test_bad_documents_are_rows_with_a_reason(invoke: Invoke, job: Job) -> None:
    with job.corpus.open("a") as lines:
        lines.write('{broken\n{"id": "empty", "text": ""}\n{"id": "short", "text": "the"}\n')
    ended = invoke("decode", job.config)
    assert ended.code == 0 and "failed 3" in ended.out
    rows = rows_of(job.output)
    reasons = {row["doc_id"]: row["reason"] for row in rows if row["position"] is None}
    assert "not a line of JSON" in reasons[f"{job.corpus.name}:4"]
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
    rows = rows_of(job.output)
    sick = [row for row in rows if row["doc_id"] == "sick" and row["control"] == "real"]
    assert len(sick) == 4
    assert {(row["outcome"], row["finish_reason"]) for row in sick} == {("failed", "failed")}
    assert all("NaN" in row["reason"] for row in sick)
    assert all(row["outcome"] != "failed" for row in rows if row["control"] == "mean")


def test_a_run_that_explains_nothing_does_not_look_like_success(invoke: Invoke, job: Job) -> None:
    said = invoke("decode", job.config, "positions.min_position=5000").refused()
    assert "none of 3 documents can be used" in said and "positions.min_position" in said
    weights = load_file(job.target / "model.safetensors")
    weights["model.embed_tokens.weight"][:] = float("nan")
    save_file(weights, job.target / "model.safetensors", metadata={"format": "pt"})
    assert invoke("decode", job.config).code == 10


def test_an_output_with_another_plan_is_kept_and_both_runs_fit_by_name(invoke: Invoke, job: Job) -> None:
    assert invoke("decode", job.config).code == 0
    before = snapshot(job.output)
    refused = invoke("decode", job.config, "seed=1", "sampling.samples=3").refused()
    assert "holds another plan" in refused and "--add" in refused
    assert (
        "config.seed (0 there, 1 here)" in refused and "config.sampling.samples (2 there, 3 here)" in refused
    )
    assert snapshot(job.output) == before
    assert invoke("decode", job.config, "seed=1", "--add").code == 0
    assert {name: was for name, was in snapshot(job.output).items() if name in before} == before
    assert len(runs_of(job.output)) == 2
    sound(job.output)
    again = invoke("decode", job.config)
    assert again.code == 0 and "nothing was done" in again.out


def test_what_changes_no_row_is_no_other_plan(invoke: Invoke, job: Job) -> None:
    assert invoke("decode", job.config).code == 0
    for other in ("runner.pool.actors=3", "max_failed_fraction=0.5", f"output={job.output}/"):
        again = invoke("decode", job.config, other)
        assert again.code == 0 and "nothing was done" in again.out


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(invoke: Invoke, job: Job) -> None:
    ended = invoke("decode", job.config, "--dry-run", "corpus.unit_documents=2")
    assert ended.code == 0, ended.err
    assert not job.output.exists()
    said = dict(line.split(": ", 1) for line in ended.out.splitlines() if ": " in line)
    assert said["documents"] == "3, 0 of them unusable"
    assert said["units"] == "2, 0 of them written already"
    assert said["vectors"] == "6, controls not counted"
    # The last unit has one document only, and so no vector of another one.
    assert said["rows"] == f"{(6 * 5 - 2) * 2}, controls and samples counted"
    tokenizer = tiny_tokenizer("qwen2")
    tokens = sum(len(tokenizer.encode(TEXT * (i + 1))) for i in range(3))
    assert said["tokens"] == f"{tokens} for the target" and "not read" not in said
    assert said["estimated time"].startswith("0:")
    assert invoke("decode", job.config, "corpus.unit_documents=2").code == 0
    assert len(rows_of(job.output)) == (6 * 5 - 2) * 2
    after = invoke("decode", job.config, "--dry-run", "corpus.unit_documents=2")
    assert "units: 2, 2 of them written already" in after.out
    store = open_store(job.output)
    assert [compact(store, run_id).files_after < 4 for run_id in committed_runs(store)] == [True]
    merged = invoke("decode", job.config, "--dry-run", "corpus.unit_documents=2")
    assert merged.code == 0 and "units: 2, 2 of them written already" in merged.out


def test_missing_files(invoke: Invoke, job: Job) -> None:
    missing = Exit.MISSING
    assert "nowhere.yaml: cannot read" in invoke("decode", "nowhere.yaml").refused(missing)
    assert "nowhere.jsonl: no such corpus" in invoke(
        "decode", job.config, "corpus.paths=[nowhere.jsonl]"
    ).refused(missing)
    assert "/nowhere/av" in invoke("decode", job.config, "models.av=/nowhere/av").refused(missing)
    assert "columns are id, text, truth" in invoke("decode", job.config, "corpus.text=body").refused()
    (job.target / "model.safetensors").unlink()
    assert str(job.target) in invoke("decode", job.config).refused()


def test_an_unknown_key(invoke: Invoke, job: Job) -> None:
    refused = invoke("decode", job.config, "engine.slotz=64").refused()
    assert "override 'engine.slotz=64': engine.slotz: unknown key; did you mean 'slots'?" in refused


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
    job.model_config(job.target, model_type="t5", architectures=["T5Model"])
    refused = invoke("decode", job.config).refused()
    assert "t5" in refused and "qwen2" in refused


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
    assert str(job.output) in invoke("decode", job.config).refused()
    assert "is neither a folder nor a URL" in invoke("decode", job.config, "output=s3:/bucket/x").refused()


def test_a_gpu_that_is_not_there(invoke: Invoke, job: Job) -> None:
    assert "CUDA devices" in invoke("decode", job.config, "engine.device=cuda:77").refused()


def test_nothing_is_loaded_before_the_checks(invoke: Invoke, job: Job) -> None:
    """A target whose weights are rubbish is not touched where the AV is already refused."""
    shutil.copy(job.corpus, job.target / "model.safetensors")
    job.sidecar(job.av, role="ar")
    assert str(job.av) in invoke("decode", job.config).refused()


def test_a_plan_of_which_nothing_was_written_is_in_nobodys_way(invoke: Invoke, job: Job) -> None:
    assert invoke("decode", job.config).code == 0
    shutil.rmtree(job.output / "explanations")
    shutil.rmtree(job.output / "documents")
    shutil.rmtree(job.output / "commits")
    assert invoke("decode", job.config, "seed=1").code == 0


def test_ids_that_look_like_places_and_places_without_ids(invoke: Invoke, job: Job) -> None:
    """Line 2 cannot be read and goes by its place, which is line 1's id."""
    rows = [
        json.dumps({"id": f"{job.corpus}:2", "text": ""}),
        "{broken",
        json.dumps({"id": "x", "text": TEXT}),
    ]
    job.corpus.write_text("\n".join(rows) + "\n")
    assert invoke("decode", job.config, "corpus.meta=[]").code == 0
    failed = [row for row in rows_of(job.output) if row["position"] is None]
    assert len(failed) == 2 and len({row["row_id"] for row in failed}) == 2


def test_a_lone_surrogate_in_meta_spoils_no_question(invoke: Invoke, job: Job) -> None:
    with job.corpus.open("a") as lines:
        lines.write('{"id": "s", "text": "' + TEXT + '", "truth": "\\ud800 and more"}\n')
    assert invoke("decode", job.config).code == 0
    found = select(job.output, "SELECT DISTINCT doc_id, meta->>'$.truth' AS truth FROM explanations")
    assert len(found) == 4
