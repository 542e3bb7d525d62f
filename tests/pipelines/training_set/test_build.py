"""From a corpus to a training set: positions, schema, resume, inputs that are published files."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from nla_ray.config.training.training_set import TrainingSetConfig
from nla_ray.errors import ConfigError, InputError
from nla_ray.nla.extraction import Extractor
from nla_ray.nla.prompt import load_tokenizer
from nla_ray.nla.reconstruction.fidelity import variance_nrm
from nla_ray.nla.sidecar.dataset import read_dataset_sidecar
from nla_ray.pipelines.training_set.build import build_training_set, plan
from nla_ray.pipelines.training_set.planning import BASE
from nla_ray.providers.provider import BudgetError
from nla_ray.stages.extract import ExtractStage
from nla_ray.stages.stage import Chain
from nla_ray.stages.training_set.base_table import BaseStage
from nla_ray.store import open_store
from nla_ray.store.places.sums import file_sha256
from nla_ray.store.runs.training_set import TrainingSet, get_training_set
from nla_ray.store.runs.units import footer_of
from nla_ray.tables.training import published
from tests.chat_server import explains, served
from tests.decoded import snapshot
from tests.training_sets import D_MODEL, DOCUMENTS, LAYER, VECTORS_ALONE, config, tables, text, write_corpus

Target = Callable[[str], Path]


@pytest.fixture(scope="module")
def built(
    tmp_path_factory: pytest.TempPathFactory, checkpoint: Target
) -> tuple[TrainingSetConfig, TrainingSet]:
    """A set of 60 documents, explained by an endpoint."""
    folder = tmp_path_factory.mktemp("built")
    write_corpus(folder)
    with served(explains) as server:
        settings = config(folder, checkpoint("qwen2"), server.url)
        return settings, build_training_set(settings).set


def test_the_manifest_and_the_files_agree(built: tuple[TrainingSetConfig, TrainingSet]) -> None:
    settings, made = built
    assert get_training_set(open_store(settings.output)) == made
    found = tables(settings.output)
    assert {name: split.rows for name, split in made.splits.items()} == {
        name: table.num_rows for name, table in found.items()
    }
    assert sum(split.documents for split in made.splits.values()) == DOCUMENTS
    assert sum(split.rows for split in made.splits.values()) == DOCUMENTS * 3
    for split in made.splits.values():
        for file in split.files:
            path = Path(settings.output, file.key)
            assert (file.sha256, file.bytes) == (file_sha256(path), path.stat().st_size)
    trained = np.concatenate([vectors_of(table) for name, table in found.items() if name != "held_out"])
    assert made.baseline.value == pytest.approx(variance_nrm(trained)) and made.baseline.n == len(trained)
    assert made.norm_p75 == pytest.approx(np.quantile(np.linalg.norm(trained, axis=1), 0.75), abs=1e-3)
    assert made.explaining.explained == made.explaining.requests == DOCUMENTS * 3 - found["rl"].num_rows
    assert made.explaining.tokens == 100 * made.explaining.requests


def vectors_of(table: pa.Table) -> np.ndarray:
    return np.stack(table["activation_vector"].to_pylist())


def test_the_published_schema(built: tuple[TrainingSetConfig, TrainingSet]) -> None:
    settings, made = built
    for split, table in tables(settings.output).items():
        assert table.schema.equals(published(split, D_MODEL))
        sidecar = read_dataset_sidecar(next(Path(settings.output, split).glob("*.parquet")))
        assert (sidecar.stage, sidecar.d_model, sidecar.layer) == (split, D_MODEL, LAYER)
        assert sidecar.stale_rows(table.num_rows) is None
        assert sidecar.extra["extraction"]["norm"] == "none"
        assert {"target": sidecar.extra["target"]} == made.weights
        assert sidecar.extra["extraction"]["positions_per_doc"] == 3
        for row in table.to_pylist():
            check_row(split, row, settings)


def check_row(split: str, row: dict[str, Any], settings: TrainingSetConfig) -> None:
    said = row.get("api_explanation")
    if split == "ar_sft":
        assert row["prompt"] == settings.templates.ar.format(explanation=said)
    else:
        (message,) = row["prompt"]
        assert message["role"] == "user" and message["content"].count("<INJECT>") == 1
        assert "{injection_char}" not in message["content"]
    if split in ("av_sft", "held_out"):
        assert row["response"] == f"<explanation>\n{said}\n</explanation>" and "\n\n" in said
    assert (split == "rl") == ("api_explanation" not in row) and row["activation_layer"] == LAYER
    assert json.loads(row["meta"]) == {"said": int(row["doc_id"].removeprefix("doc"))}


def test_positions_and_vectors_are_those_of_the_reference(
    built: tuple[TrainingSetConfig, TrainingSet], checkpoint: Target
) -> None:
    tokenizer = load_tokenizer(checkpoint("qwen2"))
    extractor = Extractor(checkpoint("qwen2"), [LAYER])
    rows = [row for table in tables(built[0].output).values() for row in table.to_pylist()]
    for number in (0, 7):
        ids = tokenizer(text(number))["input_ids"]
        candidates = [at for at in range(5, len(ids)) if ids[at] not in tokenizer.all_special_ids]
        key = sha256(f"0|doc{number}".encode()).digest()
        expected = sorted(random.Random(key).sample(candidates, 3))
        mine = sorted(
            (row for row in rows if row["doc_id"] == f"doc{number}"), key=lambda row: int(row["n_raw_tokens"])
        )
        assert [row["n_raw_tokens"] - 1 for row in mine] == expected
        (vectors,) = extractor.extract([ids], [expected])
        np.testing.assert_allclose(
            np.stack([row["activation_vector"] for row in mine]), vectors[:, 0], rtol=1e-3, atol=1e-4
        )
        for row in mine:
            assert row["detokenized_text_truncated"] == tokenizer.decode(ids[: row["n_raw_tokens"]])


def test_the_same_again_does_nothing_and_another_recipe_is_refused(
    built: tuple[TrainingSetConfig, TrainingSet], tmp_path: Path
) -> None:
    settings, made = built
    before = snapshot(Path(settings.output))
    (instruction := tmp_path / "ask.txt").write_text("Explain.")
    asked = settings.provider.model_copy(update={"instruction": str(instruction)})
    again = build_training_set(settings)
    assert again.again and again.set == made
    for changes, words in (
        ({"seed": 1}, r"seed \(0 there, 1 here\)"),
        ({"positions_per_doc": 2}, "positions_per_doc"),
        ({"provider": asked}, r"provider.instruction \(.* there, \"Explain.\" here\): set that back"),
    ):
        with pytest.raises(ConfigError, match=f"holds another training set; it differs in {words}"):
            build_training_set(settings.model_copy(update=changes))
    assert snapshot(Path(settings.output)) == before


def test_a_budget_that_is_raised_goes_on_and_nothing_is_paid_for_twice(
    tmp_path: Path, checkpoint: Target, built: tuple[TrainingSetConfig, TrainingSet]
) -> None:
    write_corpus(tmp_path)
    with served(explains) as server:
        for most in (20, 70):
            settings = config(tmp_path, checkpoint("qwen2"), server.url)
            provider = settings.provider.model_copy(update={"max_requests": most})
            with pytest.raises(BudgetError, match=f"{most} of {most} requests"):
                build_training_set(settings.model_copy(update={"provider": provider}))
            assert len(server.seen) == most and not Path(settings.output, "manifest.json").exists()
        made = build_training_set(settings).set
        asked = [body["messages"][1]["content"] for body in server.seen]
    assert len(asked) == len(set(asked)) == made.explaining.requests == built[1].explaining.requests
    assert {name: split.rows for name, split in made.splits.items()} == {
        name: split.rows for name, split in built[1].splits.items()
    }


def test_sets_that_share_answers_share_them(tmp_path: Path, checkpoint: Target) -> None:
    (tmp_path / "two").mkdir()
    write_corpus(tmp_path, [text(number) for number in range(40)])
    write_corpus(tmp_path / "two", [text(number) for number in range(40)])
    answers = {"answers": str(tmp_path / "answers")}
    with served(explains) as server:
        first = build_training_set(config(tmp_path, checkpoint("qwen2"), server.url, **answers)).set
        asked = len(server.seen)
        shares = {"av_sft": 0.4, "ar_sft": 0.3, "rl": 0.15, "held_out": 0.15}
        second = build_training_set(
            config(tmp_path / "two", checkpoint("qwen2"), server.url, shares=shares, **answers)
        ).set
        assert len(server.seen) - asked == second.explaining.requests < first.explaining.requests == asked


@pytest.mark.parametrize("stage", ["base", "explained", "av_sft", "ar_sft", "rl"])
def test_published_files_of_every_stage_are_inputs(
    tmp_path: Path, built: tuple[TrainingSetConfig, TrainingSet], stage: str
) -> None:
    given = published_file(tmp_path, built[0].output, stage)
    column = {"explained": "api_explanation", "av_sft": "response", "ar_sft": "prompt"}.get(stage)
    corpus = {"paths": [str(given)], "vectors": {}, "id": "doc_id", "text": "detokenized_text_truncated"}
    changes: dict[str, Any] = {"corpus": corpus}
    changes["shares"] = {"av_sft": 0.5, "ar_sft": 0.5, "rl": 0, "held_out": 0}
    if column is not None:
        changes["provider"] = {"kind": "column", "column": column}
    with served(explains) as server:
        made = build_training_set(config(tmp_path, None, None if column else server.url, **changes)).set
        assert (len(server.seen) > 0) == (column is None)
    assert made.target == str(built[0].target) and made.d_model == D_MODEL
    before = {key_of(row): row for row in pq.read_table(given).to_pylist()}
    for split, table in tables(tmp_path / "set").items():
        for row in table.to_pylist():
            was = before.pop(key_of(row))
            assert row["activation_vector"] == was["activation_vector"]
            assert row["detokenized_text_truncated"] == was["detokenized_text_truncated"]
            if column is not None:
                assert row["api_explanation"] == was["api_explanation"]
            check = row["prompt"] if split == "ar_sft" else row["response"]
            assert row["api_explanation"] in check and column not in json.loads(row["meta"] or "{}")
    assert before == {}


def key_of(row: dict[str, Any]) -> tuple[str, int]:
    return row["doc_id"], row["n_raw_tokens"]


def published_file(folder: Path, output: str, stage: str) -> Path:
    """A file of a stage with its sidecar, as others publish it; a list of any length holds the vectors."""
    split = {"base": "rl", "explained": "held_out"}.get(stage, stage)
    table = tables(output)[split].drop_columns(["meta"])
    if stage == "base":
        table = table.drop_columns(["prompt"])
    if stage == "explained":
        table = table.drop_columns(["prompt", "response"])
    at = table.schema.get_field_index("activation_vector")
    plain = table["activation_vector"].cast(pa.list_(pa.float32()))
    path = folder / f"{stage}.parquet"
    pq.write_table(table.set_column(at, "activation_vector", plain), path)
    source = next(Path(output, split).glob("*.yaml"))
    meta = yaml.safe_load(source.read_text(encoding="utf-8")) | {"stage": stage}
    Path(f"{path}.nla_meta.yaml").write_text(yaml.safe_dump(meta), encoding="utf-8")
    return path


def test_vectors_of_another_width_or_layer_are_refused(
    tmp_path: Path, built: tuple[TrainingSetConfig, TrainingSet], checkpoint: Target
) -> None:
    given = published_file(tmp_path, built[0].output, "rl")
    corpus = {"paths": [str(given)], "vectors": {}, "id": "doc_id", "text": "detokenized_text_truncated"}
    with pytest.raises(InputError, match=r"layer is 2, the target's is 1"):
        build_training_set(config(tmp_path, checkpoint("qwen2"), corpus=corpus, layer=1, **VECTORS_ALONE))
    rows = pa.table(
        {
            "doc_id": ["a"],
            "n_raw_tokens": [60],
            "activation_vector": pa.array([[1.0] * 8], pa.list_(pa.float32(), 8)),
        }
    )
    pq.write_table(rows, tmp_path / "other.parquet")
    corpus = corpus | {"paths": [str(tmp_path / "other.parquet")], "text": None}
    with pytest.raises(InputError, match=r"vectors of 8 values, the target takes 32"):
        build_training_set(config(tmp_path, checkpoint("qwen2"), corpus=corpus, **VECTORS_ALONE))
    assert not (tmp_path / "set").exists()


def test_what_cannot_be_used_is_counted(tmp_path: Path, checkpoint: Target) -> None:
    write_corpus(tmp_path, [*[text(number) for number in range(30)], "a", "", text(0)])
    made = build_training_set(config(tmp_path, checkpoint("qwen2"), **VECTORS_ALONE)).set
    assert made.unusable == 2 and made.duplicates.equal == 1
    assert [problem.split(": ", 1)[1] for problem in made.problems] == [
        "no position to read in 1 tokens; see positions.min_position", "'text' is empty",
    ]  # fmt: skip


def test_vectors_that_are_none_are_counted(tmp_path: Path) -> None:
    values = [[1.0] * 8, [float("nan")] * 8, [0.0] * 8, [2.0] * 8]
    columns = {"doc_id": list("abcd"), "n_raw_tokens": [60] * 4, "activation_vector": values}
    pq.write_table(pa.table(columns), tmp_path / "base.parquet")
    corpus = {"paths": [str(tmp_path / "base.parquet")], "vectors": {}, "id": "doc_id"}
    shares = {"av_sft": 0, "ar_sft": 0, "rl": 1, "held_out": 0}
    made = build_training_set(config(tmp_path, None, provider=None, corpus=corpus, shares=shares)).set
    assert (made.splits["rl"].rows, made.d_model, made.unusable, made.duplicates.unknown) == (2, 8, 2, 2)
    assert made.target == "not known" and "a vector that is zero or not finite" in made.problems[0]


def test_documents_that_no_worker_survives_are_left_out(tmp_path: Path, checkpoint: Target) -> None:
    write_corpus(tmp_path)
    ready, _ = plan(config(tmp_path, checkpoint("qwen2"), **VECTORS_ALONE))
    store = open_store(tmp_path / "work")
    chain = Chain([
        ExtractStage(ready.config, ready.identity, d_model=D_MODEL),
        BaseStage(ready.config.corpus, LAYER, D_MODEL, store, ready.ref(BASE)),
    ])  # fmt: skip
    chain.setup()
    task = ready.tasks[0]
    assert chain(task.trial([3])).file is None and store.entries("") == []
    done = chain(replace(task, skip={3: "its worker died"}))
    assert done.file.rows == (task.documents - 1) * 3
    tally = footer_of(store, ready.ref(BASE), task.unit_id).tally
    assert tally["unusable"] == 1 and str(tally["problems"]).endswith("corpus.jsonl:4: its worker died']")


def test_an_estimate_asks_and_writes_nothing(tmp_path: Path, checkpoint: Target) -> None:
    write_corpus(tmp_path)
    settings = config(tmp_path, checkpoint("qwen2"))
    _, found = plan(settings)
    assert (found.documents, found.vectors, found.explanations, found.requests) == (60, 180, 144, 144)
    assert found.tokens is not None and 144 * 300 < found.tokens < 144 * 900
    assert found.over(settings.provider) is None
    small = settings.provider.model_copy(update={"max_requests": 100})
    assert found.over(small) == "provider.max_requests is 100"
    assert not (tmp_path / "set").exists()


def test_a_place_on_s3(tmp_path: Path, checkpoint: Target, s3: str) -> None:
    write_corpus(tmp_path, [text(number) for number in range(16)])
    shares = {"av_sft": 0.5, "ar_sft": 0, "rl": 0.5, "held_out": 0}
    with served(explains) as server:
        settings = config(tmp_path, checkpoint("qwen2"), server.url, output=s3, shares=shares)
        made = build_training_set(settings).set
        asked = len(server.seen)
        assert build_training_set(settings).again and len(server.seen) == asked
    store = open_store(s3)
    assert get_training_set(store) == made
    keys = {listed.key for listed in store.entries("")}
    assert {f"{name}/part-00000.parquet.nla_meta.yaml" for name in made.splits} <= keys
    assert sum(key.startswith("work/answers/") for key in keys) == asked


def test_a_column_of_a_text_corpus_explains_all_positions_of_a_document(
    tmp_path: Path, checkpoint: Target
) -> None:
    write_corpus(tmp_path)
    provider = {"kind": "column", "column": "said"}
    path = tmp_path / "corpus.jsonl"
    path.write_text(path.read_text().replace('"said": ', '"said": "about ').replace("}", '"}'))
    made = build_training_set(config(tmp_path, checkpoint("qwen2"), provider=provider)).set
    assert made.explaining.explained > 0 and made.explaining.requests == 0
    for row in tables(tmp_path / "set")["av_sft"].to_pylist():
        assert row["api_explanation"] == f"about {row['doc_id'].removeprefix('doc')}"
