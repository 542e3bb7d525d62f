"""A corpus on a real S3 server to which the way is bad: none of it is lost, by the planner or by workers."""

from __future__ import annotations

import io
import json
import random
import shutil
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nla_ray.config.reading.corpus import Corpus
from nla_ray.corpus.documents import pieces
from nla_ray.corpus.documents.document import Document
from nla_ray.corpus.documents.pieces import UnitSource, read_unit, units_of
from nla_ray.errors import InputError, UnreachableError
from nla_ray.store.places.files import stamp_of
from nla_ray.store.places.remote import asking, spool
from nla_ray.store.places.remote.spool import spooled
from tests.store.conftest import BUCKET, client_of, seaweedfs_endpoint, use_s3  # noqa: F401 (fixture)
from tests.store.faults import Fault, Request, faulty

pytestmark = pytest.mark.slow

SEEDS = 1
"""Of the sweep, for every day; 20 take some minutes."""

KINDS = [
    "AccessDenied",
    "ExpiredToken",
    "InternalError",
    "SlowDown",
    "reset",
    "silent",
    "cut",
    "short",
    "flip",
]
N = 45

Units = list[tuple[UnitSource, list[Document]]]


def rows(name: str) -> list[dict[str, Any]]:
    return [{"text": f"{name} {n} {random.Random(n).randbytes(40).hex()}", "n": n} for n in range(N)]


def jsonl(name: str) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows(name))


def parquet(name: str) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows(name)), sink, row_group_size=10)
    return sink.getvalue()


def arrow(name: str) -> bytes:
    table, sink = pa.Table.from_pylist(rows(name)), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=8)
    return sink.getvalue().to_pybytes()


FILES: dict[str, Callable[[str], bytes]] = {
    "a.jsonl": jsonl,
    "b.txt": lambda name: b"".join(row["text"].encode() + b"\n" for row in rows(name)),
    "c.parquet": parquet,
    "d.arrow": arrow,
    "e.jsonl.gz": lambda name: pa.Codec("gzip").compress(jsonl(name), asbytes=True),
    "f.jsonl.zst": lambda name: pa.Codec("zstd").compress(jsonl(name), asbytes=True),
}


class Way:
    """The way to a server, on which there may be a fault; those that are met are counted."""

    def __init__(self, server: str) -> None:
        self._server = server
        self.fault: Fault = lambda _: None
        self.met = Counter[str]()

    def __call__(self, request: Request) -> str | None:
        found = self.fault(request)
        self.met[request.path] += found is not None
        return found

    def put(self, url: str, content: bytes) -> str:
        client_of(self._server).put_object(Bucket=BUCKET, Key=url.split("/", 3)[3], Body=content)
        return url


@pytest.fixture(scope="module")
def open_way(seaweedfs_endpoint: str) -> Iterator[tuple[Way, str]]:  # noqa: F811
    way = Way(seaweedfs_endpoint)
    with faulty(seaweedfs_endpoint, way) as endpoint:
        yield way, endpoint


@pytest.fixture
def way(open_way: tuple[Way, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Way:
    """The way that this process takes to S3, with no fault on it yet; nothing waits long."""
    way, endpoint = open_way
    use_s3(monkeypatch, endpoint, tmp_path / "cache")
    monkeypatch.setattr(asking, "TIMEOUT", 0.3)
    monkeypatch.setattr(asking, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(pieces, "WAITS", (0.01,) * len(pieces.WAITS))
    way.fault, way.met = lambda _: None, Counter()
    return way


@pytest.fixture(scope="module")
def folder(open_way: tuple[Way, str]) -> str:
    """A folder with a file of every format."""
    url = f"s3://{BUCKET}/{uuid.uuid4().hex}"
    for name, content in FILES.items():
        open_way[0].put(f"{url}/{name}", content(name))
    return url


def plan(*paths: str) -> Units:
    return list(units_of(Corpus(paths=paths, text="text", unit_documents=20)))


def read(unit: tuple[UnitSource, list[Document]]) -> None:
    """A worker reads a unit as it was planned."""
    source, documents = unit
    corpus = Corpus(paths=("unused",), text="text", unit_documents=20)
    assert read_unit(source, corpus, planned=lambda found: found == documents) == documents


def now_and_then(kind: str, rng: random.Random) -> Fault:
    """A fault of some requests for each file, fewer than anybody has patience for."""
    left = Counter[str]()
    most = 1 if kind == "silent" else len(pieces.WAITS) - 1

    def decide(request: Request) -> str | None:
        of_body = kind in ("cut", "short", "flip")
        if (of_body and request.command == "HEAD") or left[request.path] == most or rng.random() < 0.5:
            return None
        left[request.path] += 1
        return f"flip:{rng.randrange(1 << 20)}" if kind == "flip" else kind

    return decide


def always(kind: str, name: str = "") -> Fault:
    """A fault of every GET of an object."""
    return lambda request: (
        kind if request.command == "GET" and name in request.path.partition("?")[0] else None
    )


@pytest.mark.parametrize("kind", KINDS)
def test_no_document_is_lost(way: Way, folder: str, kind: str) -> None:
    planned = plan(folder)
    assert sum(len(documents) for _, documents in planned) == N * len(FILES)
    assert not any(document.problem for _, documents in planned for document in documents)
    for seed in range(SEEDS):
        rng = random.Random(f"{kind} {seed}")
        way.fault = now_and_then(kind, rng)
        assert plan(folder) == planned
        for unit in planned:
            way.fault = now_and_then(kind, rng)
            read(unit)
    assert way.met.total() > 8 * SEEDS


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["AccessDenied", "cut"])
def test_a_fault_that_stays_is_none_of_the_corpus(
    way: Way, folder: str, kind: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is where the same ranges fail again and again: the first units are read, the others are not."""
    monkeypatch.setattr(asking, "PATIENCE", 0.05)
    url = f"{folder}/{name}"
    *_, last = plan(url)
    way.fault = always(kind, name)
    for act in (lambda: plan(url), lambda: plan(folder), lambda: read(last)):
        with pytest.raises(
            UnreachableError, match=rf"{url}: could not be read: .*run the same command"
        ) as told:
            act()
        assert told.value.exit_code == 8 and "\n" not in str(told.value)
    way.fault = always("none")
    read(last)


def test_a_byte_that_is_always_changed_is_believed_by_nobody(way: Way, folder: str) -> None:
    planned = plan(f"{folder}/a.jsonl")
    way.fault = always("flip:700")
    for name in FILES:
        with pytest.raises(UnreachableError, match=f"{folder}/{name}: .* checksum that the store tells"):
            plan(f"{folder}/{name}")
    way.fault = always("flip:20")
    with pytest.raises(UnreachableError, match=r"a\.jsonl: .*not changed since .*other documents"):
        read(planned[-1])


def test_a_changed_corpus_is_told_apart_at_once(way: Way, folder: str) -> None:
    url = way.put(f"{folder}x/a.jsonl", jsonl("before"))
    *_, last = plan(url)
    way.put(url, jsonl("now"))
    asked = Counter[str]()
    way.fault = lambda request: asked.update([request.command])
    with pytest.raises(InputError, match=f"{url}: .*the corpus has changed since") as told:
        read(last)
    assert not isinstance(told.value, UnreachableError) and asked["GET"] == 1
    way.put(url, jsonl("before"))
    read(last)


def test_an_object_is_never_mixed_with_the_one_that_replaces_it(
    way: Way, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "_CHUNK", 2000)
    url = way.put(f"{folder}y/a.jsonl", jsonl("before"))

    def replace(request: Request) -> str | None:
        if request.command == "GET" and "bytes=0-" not in request.headers["Range"]:
            way.put(url, jsonl("behind"))
        return None

    way.fault = replace
    with pytest.raises(InputError, match=f"{url}: was replaced while it was read"):
        plan(url)


def test_a_listing_that_fails_is_no_smaller_corpus(
    way: Way, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "PATIENCE", 0.05)
    for kind in ("AccessDenied", "SlowDown", "cut"):
        way.fault = lambda request, kind=kind: kind if "list-type" in request.path else None
        for path in (folder, f"{folder}/*.jsonl*", f"{folder}/**/*.txt"):
            with pytest.raises(UnreachableError):
                plan(path)


@pytest.mark.parametrize("act", [plan, stamp_of, lambda url: plan(url.removesuffix("/a.jsonl"))])
def test_a_key_that_nobody_knows_is_told_at_once(way: Way, folder: str, act: Callable[[str], object]) -> None:
    way.fault = lambda _: "InvalidAccessKeyId"
    with pytest.raises(InputError, match=r"InvalidAccessKeyId.*check the credentials") as told:
        act(f"{folder}/a.jsonl")
    assert not isinstance(told.value, UnreachableError) and way.met.total() == 2


def test_what_has_no_room_for_a_copy_is_read_twice(
    way: Way, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan(folder)
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2 * N))
    with spooled(f"{folder}/a.jsonl") as (_, path):
        assert path == f"{folder}/a.jsonl"
    for seed in range(3):
        way.fault = now_and_then("flip", random.Random(seed))
        assert plan(folder) == planned
