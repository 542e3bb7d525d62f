"""Input files on S3: listed, opened, read by every format; failures are one line."""

from __future__ import annotations

import gzip
import io
import os
from pathlib import Path

import botocore.session
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from nla_ray.config.reading.corpus import Corpus
from nla_ray.corpus.documents.find import read_documents
from nla_ray.corpus.vectors.files import check_vectors
from nla_ray.errors import InputError
from nla_ray.store.places.files import FOLDER, exists, expand, opened, read_bytes
from nla_ray.store.places.remote import asking


def put(url: str, content: bytes) -> str:
    bucket, _, key = url.removeprefix("s3://").partition("/")
    botocore.session.get_session().create_client("s3").put_object(Bucket=bucket, Key=key, Body=content)
    return url


def parquet(**columns: list[object]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def texts(*paths: str) -> list[str | None]:
    return [document.text for document in read_documents(Corpus(paths=paths, text="text"))]


def test_files_folders_and_globs(s3: str) -> None:
    put(f"{s3}/b.jsonl.gz", gzip.compress(b'{"text": "b"}\n'))
    put(f"{s3}/a.parquet", parquet(text=["a"]))
    put(f"{s3}/deep/c.txt", b"c\n")
    put(f"{s3}/notes.md", b"not a corpus")
    assert texts(s3) == ["a", "b"] == texts(f"{s3}/")
    assert texts(f"{s3}/deep/c.txt", f"{s3}/*.gz") == ["c", "b"]
    assert texts(f"{s3}/**/c.txt") == ["c"]
    assert exists(f"{s3}/a.parquet") and not exists(f"{s3}/z.parquet")
    assert read_bytes(f"{s3}/deep/c.txt") == b"c\n"
    (document, _) = read_documents(Corpus(paths=(s3,), text="text"))
    assert document.source == "a.parquet:1"


def test_a_folder_that_is_an_object_too_is_a_folder(url: str) -> None:
    """Consoles make an empty object for a folder; some servers answer for every folder as for an object."""
    put(f"{url}/week/a.txt", b"a\n")
    put(f"{url}/week/", b"")
    assert texts(f"{url}/week/") == ["a"] == texts(f"{url}/week")


def test_lines_are_taken_from_a_buffer(s3: str) -> None:
    """By itself, a file of s3fs copies a whole block for each line."""
    path = put(f"{s3}/a.txt", b"line\n" * 100_000)
    with opened(path) as file:
        assert isinstance(file, io.BufferedReader)
        assert sum(1 for _ in file) == 100_000
        file.seek(5 * 99_999)
        assert (file.readline(), file.tell(), file.read()) == (b"line\n", 500_000, b"")


def test_a_key_with_two_slashes_lies_in_a_folder_without_a_name(s3: str) -> None:
    put(f"{s3}/day/a.txt", b"one")
    put(f"{s3}/day//b.txt", b"two")
    there = expand(f"{s3}/day")
    assert there.files == (f"{s3}/day/a.txt",) and there.others == ((f"{s3}/day/", FOLDER),)
    assert expand(f"{s3}/day//*.txt").files == (f"{s3}/day//b.txt",)


def test_a_saved_dataset(s3: str) -> None:
    sink = pa.BufferOutputStream()
    table = pa.table({"text": ["one", "two"]})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    put(f"{s3}/d/data-00000-of-00001.arrow", sink.getvalue().to_pybytes())
    put(f"{s3}/d/state.json", b'{"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}')
    assert texts(f"{s3}/d") == ["one", "two"]


def test_vectors_with_their_sidecar(s3: str) -> None:
    path = put(f"{s3}/v.parquet", parquet(activation_vector=[[1.0, 2.0]], n_raw_tokens=[3]))
    corpus = Corpus.model_validate({"paths": [path], "vectors": {}})
    assert check_vectors(corpus, d_model=2, layer=1).base_model is None
    extraction = {"base_model": "owner/target", "d_model": 2, "layer_index": 1}
    meta = {"kind": "nla_dataset", "stage": "base", "row_count": 1, "extraction": extraction}
    put(f"{path}.nla_meta.yaml", yaml.safe_dump(meta).encode())
    assert check_vectors(corpus, d_model=2, layer=1).base_model == "owner/target"
    with pytest.raises(InputError, match=r"v\.parquet\.nla_meta\.yaml: layer is 1, the verbalizer's is 5"):
        check_vectors(corpus, d_model=2, layer=5)


@pytest.mark.parametrize("name", ["nothing.jsonl", "nothing-*.jsonl"])
def test_what_is_not_there(s3: str, name: str) -> None:
    for url in (f"{s3}/{name}", f"s3://no-such-bucket/{name}"):
        with pytest.raises(InputError) as caught:
            expand(url)
        assert url in str(caught.value) and "\n" not in str(caught.value)


def test_a_server_that_is_not_there_and_no_credentials(
    s3: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(asking, "PATIENCE", 0.1)
    with pytest.raises(InputError, match=r"s3://\S+x\.jsonl: .*127\.0\.0\.1:9"):
        expand(f"{s3}/x.jsonl")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:8")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(InputError, match=r"s3://\S+x\.jsonl: .*credentials"):
        expand(f"{s3}/x.jsonl")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "no url")
    with pytest.raises(InputError, match=r"s3://\S+x\.jsonl: .*Invalid endpoint: no url; check AWS_ENDPOINT"):
        expand(f"{s3}/x.jsonl")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_local_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("{}")
    path.chmod(0)
    with pytest.raises(InputError, match="access denied"):
        read_bytes(str(path))


def test_a_home_that_is_not_there_is_refused_in_one_line() -> None:
    with pytest.raises(InputError, match="no such home folder"):
        expand("~nobody-of-that-name/x.jsonl")
    with pytest.raises(InputError, match="cannot read this file"):
        expand("n" * 300)
