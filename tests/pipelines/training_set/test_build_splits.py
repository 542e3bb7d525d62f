"""How documents are dealt to splits: copies together, by content and seed alone, none of them empty."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from nla_ray.errors import InputError
from nla_ray.pipelines.training_set.build import build_training_set
from nla_ray.store.runs.training_set import Explaining
from tests.chat_server import explains, served
from tests.train_tables import write_split
from tests.training_sets import D_MODEL, LAYER, VECTORS_ALONE, config, tables, text, write_corpus

Target = Callable[[str], Path]


def test_copies_are_always_in_one_split(tmp_path: Path, checkpoint: Target) -> None:
    texts = [text(number) for number in range(40)]
    copies = [one.upper() for one in texts]
    near = [f"{one[:-3]} end" for one in texts[:10]]
    write_corpus(tmp_path, [*texts, *copies, *near])
    made = build_training_set(config(tmp_path, checkpoint("qwen2"), **VECTORS_ALONE)).set
    assert (made.duplicates.documents, made.duplicates.equal, made.duplicates.near) == (90, 40, 10)
    assert (made.duplicates.groups, made.duplicates.largest, made.duplicates.unknown) == (40, 3, 0)
    assert made.explaining == Explaining(explained=0, dropped={}, requests=0, tokens=0), "nobody was to"
    split_of = {
        doc: name for name, table in tables(tmp_path / "set").items() for doc in table["doc_id"].to_pylist()
    }
    for at in range(40):
        assert split_of[f"doc{at}"] == split_of[f"doc{at + 40}"]
    for at in range(10):
        assert split_of[f"doc{at}"] == split_of[f"doc{at + 80}"]
    assert len(split_of) == 90


def test_a_split_depends_on_the_content_and_the_seed_alone(tmp_path: Path, checkpoint: Target) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    texts = [text(number) for number in range(30)]
    write_corpus(tmp_path / "one", texts)
    write_corpus(tmp_path / "two", texts[::-1])
    found = []
    with served(explains) as server:
        for name in ("one", "two"):
            build_training_set(config(tmp_path / name, checkpoint("qwen2"), server.url))
            found.append({
                (name, row["detokenized_text_truncated"][:12])
                for name, table in tables(tmp_path / name / "set").items() for row in table.to_pylist()
            })  # fmt: skip
    assert found[0] == found[1]


def test_an_empty_split_is_refused_before_anything_is_paid_for(tmp_path: Path, checkpoint: Target) -> None:
    write_corpus(tmp_path, [text(0), text(1)])
    with served(explains) as server:
        with pytest.raises(InputError, match=r"shares\.\w+: the split is empty: none of 2 documents"):
            build_training_set(config(tmp_path, checkpoint("qwen2"), server.url))
        assert server.seen == []


def test_a_split_whose_answers_are_all_dropped_is_empty_too(tmp_path: Path, checkpoint: Target) -> None:
    write_corpus(tmp_path)
    with (
        served(lambda asked: (200, "no tags")) as server,
        pytest.raises(InputError, match="av_sft: the split is empty: not one of its rows has an explanation"),
    ):
        build_training_set(config(tmp_path, checkpoint("qwen2"), server.url))


def test_vectors_of_one_header_are_no_copies_and_starts_of_one_text_are(tmp_path: Path) -> None:
    header = " ".join(f"word{at}" for at in range(60))
    whole = [f"{header} {text(number)}" for number in range(30)]
    texts = [*whole, *(" ".join(one.split()[:75]) for one in whole[:10])]
    rows = [("a start", f"doc{at}", one[: len(header) + 20]) for at, one in enumerate(texts)]
    rows += [("the end", f"doc{at}", one) for at, one in enumerate(texts)]
    path = tmp_path / "base.parquet"
    vectors = np.random.default_rng(0).standard_normal((len(rows), D_MODEL)).astype(np.float32)
    columns = {
        "activation_vector": pa.FixedSizeListArray.from_arrays(vectors.ravel(), D_MODEL),
        "doc_id": [doc for _, doc, _ in rows], "detokenized_text_truncated": [said for *_, said in rows],
        "n_raw_tokens": [len(said.split()) for *_, said in rows],
    }  # fmt: skip
    write_split(path, columns, "base", D_MODEL, LAYER)
    corpus = {"paths": [str(path)], "vectors": {}, "id": "doc_id", "text": "detokenized_text_truncated"}
    made = build_training_set(config(tmp_path, None, corpus=corpus, **VECTORS_ALONE)).set
    assert (made.duplicates.documents, made.duplicates.equal) == (40, 10)
    assert (made.duplicates.groups, made.duplicates.largest, made.duplicates.unknown) == (10, 2, 0)
