"""Units that are read again from their descriptions: the same documents, and not the file from its start."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import random
import subprocess
import sys
import tracemalloc
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import s3fs

from nla_ray.config.reading.corpus import Corpus
from nla_ray.corpus.documents.document import Document
from nla_ray.corpus.documents.find import read_documents
from nla_ray.corpus.documents.pieces import UnitSource, read_unit, units_of
from nla_ray.errors import InputError
from nla_ray.store.places.remote import ranges
from tests.store.conftest import bucket, s3, s3_endpoint  # noqa: F401 (fixtures)

Units = list[tuple[UnitSource, list[Document]]]


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "folder" else str(request.getfixturevalue("s3"))


def put(url: str, content: bytes) -> str:
    if url.startswith("s3://"):
        name, _, key = url.removeprefix("s3://").partition("/")
        s3fs.S3FileSystem().call_s3("put_object", Bucket=name, Key=key, Body=content)
    else:
        Path(url).write_bytes(content)
    return url


def lines(rng: random.Random, rows: list[bytes]) -> bytes:
    """The rows with both ends of line, blank lines between them and no end at the last."""
    parts = []
    for row in rows:
        parts += [rng.choice([b"\n", b"\r\n", b"  \n"])] * rng.choice([0, 0, 0, 1, 3])
        parts += [row, rng.choice([b"\n", b"\r\n"])]
    return b"".join(parts[:-1])


def packed(content: bytes, suffix: str) -> bytes:
    if not suffix:
        return content
    half = len(content) // 2  # two members, as by `cat a.gz b.gz`
    codec = pa.Codec("gzip" if suffix == ".gz" else "zstd")
    return b"".join(codec.compress(part, asbytes=True) for part in (content[:half], content[half:]))


def rows_of(rng: random.Random, n: int) -> list[dict[str, Any]]:
    """Few ids, so that some are used twice; empty texts and missing ids."""
    ids = [rng.choice([f"id-{rng.randrange(60)}", f"id-{rng.randrange(9999)}", None]) for _ in range(n)]
    return [{"id": name, "text": rng.choice(["", "é\n", "text "]) + str(rng.randrange(50))} for name in ids]


def jsonl(rng: random.Random, n: int) -> bytes:
    bad = [b"{broken", b"[1]", b'{"text": "no id"}', b'{"id": "x"}', b'{"id": 1, "text": "\xff"}']
    rows = [json.dumps(row, ensure_ascii=rng.random() < 0.5).encode() for row in rows_of(rng, n)]
    return lines(rng, [b'{"id": "first", "text": "good"}', *rng.sample([*rows, *bad], n)])


def text(rng: random.Random, n: int) -> bytes:
    return lines(
        rng, [rng.choice([b"caf\xc3\xa9 ", b"\xff", b"line "]) + str(i % 9).encode() for i in range(n)]
    )


def parquet(rng: random.Random, n: int) -> bytes:
    """Row groups of five; the text of one of them is damaged."""
    rows = rows_of(rng, n)
    rows[n // 2]["text"] = "to be damaged"
    sink, table = io.BytesIO(), pa.Table.from_pylist(rows)
    options = {"compression": "none", "use_dictionary": False, "write_statistics": False}
    pq.write_table(table, sink, row_group_size=5, write_page_checksum=True, **options)
    return sink.getvalue().replace(b"to be damaged", b"TO BE DAMAGED")


def arrow(rng: random.Random, n: int, *, stream: bool = True, dictionary: bool = False) -> bytes:
    """Batches of up to seven rows; one of them is not UTF-8."""
    batches, sink, left = [], pa.BufferOutputStream(), n
    while left > 0:
        rows = rows_of(rng, 7 if len(batches) == 1 else rng.randrange(0, min(6, left) + 1))
        left -= max(len(rows), 1)
        ids, texts = (pa.array([row[name] for row in rows], pa.string()) for name in ("id", "text"))
        if len(rows) == 7:
            buffers = [None, texts.buffers()[1], pa.py_buffer(b"\xff" * texts.buffers()[2].size)]
            texts = pa.StringArray.from_buffers(7, *buffers[1:], None)
        batches.append(
            pa.record_batch([ids.dictionary_encode() if dictionary else ids, texts], ["id", "text"])
        )
    kind = pa.ipc.new_stream if stream else pa.ipc.new_file
    options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=stream, unify_dictionaries=not stream)
    with kind(sink, batches[0].schema, options=options) as writer:
        if stream:
            for batch in batches:
                writer.write_batch(batch)
        else:
            writer.write_table(pa.Table.from_batches(batches))
    return sink.getvalue().to_pybytes()


def check(corpus: Corpus, rng: random.Random, **settings: Any) -> Units:
    """Every unit, sent as a pickle and read in any order, is what the one pass gave."""
    units = list(units_of(corpus, **settings))
    flat = [document for _, documents in units for document in documents]
    assert flat == list(read_documents(corpus, **settings))
    assert {len(documents) for _, documents in units[:-1]} <= {corpus.unit_documents}
    for source, documents in rng.sample(units, min(len(units), 40)):
        assert read_unit(pickle.loads(pickle.dumps(source)), corpus, **settings) == documents  # noqa: S301
        assert sum(piece.documents for piece in source.pieces) == len(documents)
        twice = sum(len(piece.twice) for piece in source.pieces)
        assert len(json.dumps(asdict(source))) < 700 * len(source.pieces) + 200 * twice
    return units


KINDS = {
    "a.jsonl": jsonl,
    "b.jsonl.gz": lambda rng, n: packed(jsonl(rng, n), ".gz"),
    "c.jsonl.zst": lambda rng, n: packed(jsonl(rng, n), ".zst"),
    "d.parquet": parquet,
    "e.arrow": arrow,
    "f.arrow": lambda rng, n: arrow(rng, n, stream=False),
    "g.arrow": lambda rng, n: arrow(rng, n, dictionary=True),
    "h.arrow": lambda rng, n: arrow(rng, n, stream=False, dictionary=True),
}
TEXTS = {
    "i.txt": text,
    "j.txt.gz": lambda rng, n: packed(text(rng, n), ".gz"),
    "k.txt.zst": lambda rng, n: packed(text(rng, n), ".zst"),
}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("with_id", [True, False])
def test_every_format_is_read_again(tmp_path: Path, with_id: bool, seed: int) -> None:
    every_format(str(tmp_path), with_id, seed)


def test_every_format_is_read_again_from_s3(s3: str) -> None:  # noqa: F811
    every_format(s3, with_id=False, seed=7)


def every_format(place: str, with_id: bool, seed: int) -> None:
    rng = random.Random(seed)
    kinds = KINDS if with_id else KINDS | TEXTS
    names = rng.sample(sorted(kinds), len(kinds))
    paths = [put(f"{place}/{name}", kinds[name](rng, 15 + rng.randrange(30))) for name in names]
    for unit, limit in ((1 + seed, None), (20, 100 + rng.randrange(50)), (9999, None)):
        settings: dict[str, Any] = {"id": "id"} if with_id else {}
        corpus = Corpus(paths=tuple(paths), text="text", unit_documents=unit, limit=limit, **settings)
        units = check(corpus, rng)
        documents = [document for _, part in units for document in part]
        assert len(documents) == limit or limit is None
        problems = " ".join(document.problem or "" for document in documents)
        for words in ("is used by", "row group", "UTF8", "not a line of JSON") if limit is None else ():
            assert words in problems


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
def test_long_batches_are_cut_anywhere(tmp_path: Path, name: str) -> None:
    vectors = np.arange(10_000, dtype=np.float32).reshape(2_500, 4)
    for kind in (pa.list_(pa.float32(), 4), pa.list_(pa.float16()), pa.large_list(pa.float64())):
        column = pa.array(vectors.tolist(), kind)
        column = pa.concat_arrays([column[:1_100], pa.nulls(3, kind), column[1_103:]])
        table = pa.table(
            {"activation_vector": column, "n_raw_tokens": range(1, 2_501), "other": ["x"] * 2_500}
        )
        sink = io.BytesIO()
        if name.endswith("parquet"):
            pq.write_table(table, sink)
        else:
            with pa.ipc.new_stream(sink, table.schema) as writer:
                writer.write_table(table)
        path = put(f"{tmp_path}/{name}", sink.getvalue())
        corpus = {"paths": [path], "vectors": {}, "unit_documents": 300, "meta": ["*"]}
        check(Corpus.model_validate(corpus), random.Random(0))


def test_positions_chats_and_whole_files(tmp_path: Path) -> None:
    rows = [{"c": [{"role": "user", "content": f"{n}"}], "at": [n] if n % 3 else None} for n in range(20)]
    path = put(f"{tmp_path}/a.jsonl", b"".join(json.dumps(row).encode() + b"\n" for row in rows))
    units = check(Corpus(paths=(path,), messages="c", unit_documents=3), random.Random(0), listed="at")
    assert [document.listed for document in units[1][1]] == [None, (4,), (5,)]
    for name in ("1.txt", "2.txt", "3.txt"):
        put(f"{tmp_path}/{name}", f"\n{name}\n\nmore\n".encode())
    whole = Corpus(paths=(f"{tmp_path}/*.txt",), text="text", text_per="file", unit_documents=2)
    assert [len(source.pieces) for source, _ in check(whole, random.Random(0))] == [2, 1]


def test_a_worker_may_run_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    put(f"{tmp_path}/sub/a.jsonl", b'{"text": "one"}\n')
    monkeypatch.chdir(tmp_path)
    corpus = Corpus(paths=("sub", "demo:corpus"), text="text", messages="messages", limit=2)
    ((source, documents),) = units_of(corpus)
    assert [document.source for document in documents] == ["a.jsonl:1", "corpus.jsonl:1"]
    assert source.pieces[1].source.path == "demo:corpus"  # the package may be installed elsewhere there
    monkeypatch.chdir("/")
    assert read_unit(source, corpus) == documents


def big(name: str, n: int = 20_000) -> bytes:
    """8 MB of documents that cannot be packed."""
    texts = [random.Random(number).randbytes(200).hex() for number in range(n)]
    table, sink = pa.table({"text": texts}), io.BytesIO()
    match name:
        case "a.parquet":
            pq.write_table(table, sink, row_group_size=1_000)
        case "stream.arrow":
            with pa.ipc.new_stream(sink, table.schema) as writer:
                writer.write_table(table, max_chunksize=1_000)
        case "file.arrow":
            with pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table, max_chunksize=1_000)
        case "a.txt":
            return "\n".join(texts).encode()
        case _:
            return b"".join(json.dumps({"text": text}).encode() + b"\n" for text in texts)
    return sink.getvalue()


BIG = ["a.jsonl", "a.txt", "a.parquet", "stream.arrow", "file.arrow"]


@pytest.mark.parametrize("name", BIG)
def test_the_last_unit_does_not_cost_the_whole_file(
    place: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = Corpus(paths=(put(f"{place}/{name}", big(name)),), text="text")
    *_, (source, documents) = units_of(corpus)
    fetched: list[int] = []
    if place.startswith("s3://"):
        fetch = ranges.fetch

        def counting(head: ranges.Head, start: int, end: int) -> bytes:
            content = fetch(head, start, end)
            fetched.append(len(content))
            return content

        monkeypatch.setattr(ranges, "fetch", counting)
        assert read_unit(source, corpus) == documents
        assert 0 < sum(fetched) < 3_000_000
    else:
        before = bytes_read()
        assert read_unit(source, corpus) == documents
        assert 0 < bytes_read() - before < 1_500_000


def bytes_read() -> int:
    """Bytes that this process ever asked for."""
    counts = Path("/proc/self/io")
    if not counts.exists():
        pytest.skip("counts bytes where there is /proc")
    return int(counts.read_text().split()[1])


def test_the_driver_holds_no_documents(tmp_path: Path) -> None:
    path = put(f"{tmp_path}/a.jsonl", big("a.jsonl", 10_000))
    tracemalloc.start()
    try:
        assert sum(len(documents) for _, documents in units_of(Corpus(paths=(path,), text="text"))) == 10_000
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", BIG)
def test_a_file_that_changed_since_is_named(place: str, name: str) -> None:
    path = put(f"{place}/{name}", big(name, 200))
    corpus = Corpus(paths=(path,), text="text")
    first, (last, _) = units_of(corpus)
    put(path, big(name, 100))
    with pytest.raises(InputError, match=rf"{name}: 72 documents from line or row 129 on .* changed since"):
        read_unit(last, corpus)
    assert len(first[1]) == 128
    put(path, b"")
    with pytest.raises(InputError, match=rf"{name}.*changed since"):
        read_unit(last, corpus)


def test_a_file_that_is_gone_is_named(place: str) -> None:
    path = put(f"{place}/a.jsonl.gz", gzip.compress(b'{"text": "one"}\n'))
    corpus = Corpus(paths=(path,), text="text")
    ((source, _),) = units_of(corpus)
    if place.startswith("s3://"):
        s3fs.S3FileSystem().rm(path)
    else:
        Path(path).unlink()
    with pytest.raises(InputError, match=r"a\.jsonl\.gz: no such file.* changed since") as caught:
        read_unit(source, corpus)
    assert "\n" not in str(caught.value)


def test_nothing_heavy_is_loaded_to_look_at_a_corpus() -> None:
    code = "import sys, nla_ray.corpus.documents.pieces; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(found.stdout.split())
    assert not {"torch", "transformers", "ray", "s3fs", "botocore"} & loaded
