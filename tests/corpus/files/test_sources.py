"""Which files of a place are read, and that nothing that lies there vanishes unsaid."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nla_ray.config.reading.corpus import Corpus
from nla_ray.corpus.documents.find import read_documents
from nla_ray.corpus.files.sources import Source, corpus_files, find_files
from nla_ray.errors import InputError
from tests.store.conftest import bucket, s3, s3_endpoint  # noqa: F401 (fixtures)
from tests.store.places.test_files import put


def rows(path: Path, *texts: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


def found(*paths: object, partitions: bool = False) -> list[Source]:
    return corpus_files(Corpus(paths=tuple(map(str, paths)), text="text", partitions=partitions))


def names(*paths: object, partitions: bool = False) -> list[str]:
    return [one.name for one in found(*paths, partitions=partitions)]


def left(*paths: object, partitions: bool = False) -> str:
    corpus = Corpus(paths=tuple(map(str, paths)), text="text", partitions=partitions)
    return "\n".join(find_files(corpus).left_out())


def test_what_a_folder_holds_is_read_or_said(tmp_path: Path) -> None:
    read = [
        "A.JSONL",
        "b.ndjson",
        "c.json",
        "d.Txt",
        "e.parq",
        "f.PQ",
        "g.jsonl.bz2",
        "h.json.GZ",
        "i.txt.zst",
    ]
    not_read = ["j.csv", "k.tsv.gz", "l.xlsx", "m", "n.parquet.gz", "o.eval"]
    hidden = ["_SUCCESS", "._a.jsonl", ".p.jsonl.crc"]
    for name in [*read, *not_read, *hidden, "e.parq.crc", "e.parq.nla_meta.yaml"]:
        (tmp_path / name).write_bytes(b"")
    rows(tmp_path / "sub" / "q.jsonl", "deep")
    (tmp_path / "_tmp").mkdir()
    (tmp_path / "r.jsonl").symlink_to(tmp_path / "gone")
    (tmp_path / "linked").symlink_to(tmp_path / "sub")
    assert sorted(names(tmp_path)) == sorted(read)
    said = left(tmp_path)
    for name in [*not_read, "sub", "r.jsonl", "linked"]:
        assert str(tmp_path / name) in said, said
    assert "begin with . or _: 4" in said and "Parquet" in said and "**" in said
    assert "crc" not in said and "nla_meta" not in said and "corpus.transcripts" in said


def test_many_names_are_counted(tmp_path: Path) -> None:
    rows(tmp_path / "a.jsonl", "x")
    for number in range(40):
        (tmp_path / f"{number:02}.md").touch()
    assert "00.md" in left(tmp_path) and "35 more" in left(tmp_path) and "39.md" not in left(tmp_path)


def test_a_pattern_leaves_out_what_a_folder_leaves_out(tmp_path: Path) -> None:
    for name in ("a.jsonl", "_b.jsonl", ".c.jsonl", "d.md", "s/e.jsonl", "_t/f.jsonl"):
        rows(tmp_path / name, name)
    assert names(tmp_path / "*") == ["a.jsonl"]
    assert "d.md" in left(tmp_path / "*") and str(tmp_path / "s") in left(tmp_path / "*")
    assert names(tmp_path / "**" / "*.jsonl") == ["a.jsonl", "s/e.jsonl"]
    assert ": 3" in left(tmp_path / "**" / "*.jsonl")
    assert names(tmp_path / "_*.jsonl") == ["_b.jsonl"] == names(tmp_path / "_b.jsonl")


@pytest.mark.parametrize(
    "name", ["a[1].jsonl", "star*.jsonl", "what?.jsonl", "50% #1+x&=.jsonl", "héllo 日本.jsonl", "[*]"]
)
def test_what_exists_is_never_a_glob(tmp_path: Path, name: str) -> None:
    path = rows(tmp_path / "f [1]" / name / "x.jsonl", "here")
    rows(tmp_path / "f 1" / "other.jsonl", "there")
    assert [one.path for one in found(str(path.parent))] == [str(path)]
    assert [one.path for one in found(str(path.parent / "*.jsonl"))] == [str(path)]
    assert [one.path for one in found(str(path))] == [str(path)]


@pytest.mark.parametrize("name", ["a[1].jsonl", "star*.jsonl", "what?.jsonl", "50%25 +&=#3.jsonl", "é.jsonl"])
def test_keys_of_a_bucket_are_taken_as_they_are(s3: str, name: str) -> None:  # noqa: F811
    url = put(f"{s3}/run [1]/date=1/{name}", b'{"text": "x"}')
    put(f"{s3}/run [1]/_SUCCESS", b"")
    put(f"{s3}/run 1/date=1/other.jsonl", b"")
    for path in (url, f"{s3}/run [1]/date=1", f"{s3}/run [1]/*/*.jsonl", url.replace("s3://", "s3a://")):
        assert [one.path for one in found(path)] == [url]
    with pytest.raises(InputError, match=r"date=1: folders: .* corpus\.partitions"):
        found(f"{s3}/run [1]")
    (one,) = found(f"{s3}/run [1]", partitions=True)
    assert (one.path, one.partition, one.name) == (url, (("date", "1"),), f"date=1/{name}")


def test_a_file_url_is_a_local_path(tmp_path: Path) -> None:
    path = rows(tmp_path / "50% é.jsonl", "x")
    for url in (path.as_uri(), path.as_uri().replace("file://", "file://localhost")):
        assert [one.path for one in found(url)] == [str(path)]
    for url in ("file://host/x.jsonl", "gs://bucket/x.jsonl", "https://host/x.jsonl"):
        with pytest.raises(InputError, match=r"file:///folder/name or s3://bucket/key"):
            found(url)


def test_partitions_become_meta(tmp_path: Path) -> None:
    for folder in ("day=2026-01-01/lang=d%2Fe", "day=__HIVE_DEFAULT_PARTITION__/lang=fr", "day=3/x", "_t=1"):
        rows(tmp_path / folder / "a.jsonl", folder)
    rows(tmp_path / "b.jsonl", "at the top")
    corpus = Corpus(paths=(str(tmp_path),), text="text", partitions=True, id=("@file",), meta=("lang",))
    found = {one.text: json.loads(one.meta or "null") for one in read_documents(corpus)}
    assert found["day=2026-01-01/lang=d%2Fe"] == {"lang": "d/e", "day": "2026-01-01"}
    assert found["day=__HIVE_DEFAULT_PARTITION__/lang=fr"] == {"lang": "fr", "day": None}
    assert found["_t=1"] == {"_t": "1"}
    assert "day=3/x" not in found and "day=3/x" in left(tmp_path, partitions=True)


def test_a_file_is_read_once_however_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows(tmp_path / "d" / "a.jsonl", "x")
    rows(tmp_path / "d" / "b.jsonl", "y")
    monkeypatch.chdir(tmp_path)
    assert names("d/b.jsonl", "./d", "d/*.jsonl", tmp_path / "d") == ["b.jsonl", "a.jsonl"]
    assert not left("./d")


def test_a_folder_without_a_corpus_says_what_it_holds(tmp_path: Path) -> None:
    rows(tmp_path / "k=1" / "a.jsonl", "x")
    (tmp_path / "b.csv").touch()
    with pytest.raises(InputError) as caught:
        found(str(tmp_path))
    assert "b.csv" in str(caught.value) and "corpus.partitions" in str(caught.value)


def test_a_row_that_its_folder_contradicts_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "day=7" / "x.jsonl"
    path.parent.mkdir()
    path.write_text('{"text": "a", "day": 7}\n{"text": "b", "day": 8}\n')
    corpus = Corpus(paths=(str(tmp_path),), text="text", partitions=True)
    same, other = read_documents(corpus)
    assert same.problem is None and "'day' holds 8" in str(other.problem)
