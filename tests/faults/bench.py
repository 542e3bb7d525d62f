"""Where decodes are disturbed: a real S3 server, a proxy in front of it, and the rows of calm runs."""

from __future__ import annotations

import itertools
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

import nla_ray
from tests.decoded import Row, rows_of
from tests.faults.harm import Harm
from tests.faults.jobs import Command, Job
from tests.store.conftest import SECRET, client_of
from tests.store.faults import Request, faulty
from tests.store.seaweed import ALL, seaweedfs

BUCKET = "faults"
DOCUMENTS, UNIT_DOCUMENTS = 12, 2
TRIES = 6
"""Runs of the same command after a fault, at most; the last one must end well."""

Seen = Callable[[Request], str | None]

PAIR = Path(nla_ray.__file__).parent / "demo" / "pair"
MODELS = {"target": "demo:target", "av": "demo:av", "ar": "demo:ar"}
DECODE: dict[str, Any] = {
    "models": MODELS,
    "positions": {"choose": "random", "n": 3},
    "controls": {"shuffled": 0.5, "random": 0.5, "none": 0.5},
    "sampling": {"max_new_tokens": 24},
    "prove": False,
    "engine": {"slots": 32, "device": "cpu"},
    "runner": {"name": "local"},
}
COLUMNS = {"text": "text", "messages": "messages", "id": "id", "meta": ["truth"]}
VARIANTS: dict[str, dict[str, Any]] = {
    "documents": {},
    "models": {"models": {role: f"s3://{BUCKET}/models/{role}" for role in ("target", "av", "ar")}},
    "continuation": {"continuation": {"max_new_tokens": 8, "temperature": 0}, "positions": {"n": 2}},
    "pools": {
        "runner": {
            "name": "ray",
            "address": "local",
            "pools": {name: {"cpus": 0.5, "threads": 1} for name in ("extract", "verbalize", "reconstruct")},
        }
    },
    "ray": {"runner": {"name": "ray", "address": "local", "pool": {"actors": 2, "cpus": 0.5, "threads": 1}}},
}
"""Ways to decode; what runs on Ray has the rows of `documents`."""


@dataclass
class Bench:
    """The servers, and what calm runs left."""

    folder: Path
    server: str
    proxy: str
    watch: list[Seen] = field(default_factory=list)
    calm: dict[str, Calm] = field(default_factory=dict)
    count: Iterator[int] = field(default_factory=itertools.count)

    def trial(self, variant: str, seed: int, place: str = "s3") -> Trial:
        """A new place for tables, below the S3 server or in a folder."""
        name = f"trial-{next(self.count)}"
        folder = self.folder / name
        folder.mkdir()
        tables = f"s3://{BUCKET}/{name}/tables" if place == "s3" else str(folder / "tables")
        return Trial(self, folder, tables, variant, random.Random(f"{variant} {seed}"))

    def calm_of(self, variant: str) -> Calm:
        """What an undisturbed decode leaves; made once."""
        variant = "documents" if variant in ("ray", "pools") else variant
        if variant not in self.calm:
            trial, seen = self.trial(variant, 0), list[str]()
            with trial.watched(lambda request: seen.append(f"{request.command} {request.path}")):
                began = time.monotonic()
                job = trial.start()
                if code := job.ended():
                    raise RuntimeError(f"a calm run ended with {code}:\n{job.said()}")
            self.calm[variant] = Calm(rows_of(trial.tables), tuple(seen), time.monotonic() - began)
        return self.calm[variant]

    def calm_with(self, corpus: bytes) -> list[Row]:
        """The rows of an undisturbed decode of another corpus."""
        trial = self.trial("documents", 0)
        trial.read(corpus)
        trial.finish()
        return rows_of(trial.tables)


@dataclass(frozen=True)
class Calm:
    """An undisturbed run: its rows, its requests in order, its seconds from start to end."""

    rows: list[Row]
    requests: tuple[str, ...]
    seconds: float

    def commit_begins(self) -> int:
        """The number of the first request after the last unit was written."""
        puts = [
            at
            for at, one in enumerate(self.requests)
            if one.startswith("PUT") and "unit" in one.rpartition("/")[2]
        ]
        return puts[-1] + 1


@dataclass
class Trial:
    """One decode that is disturbed."""

    bench: Bench
    folder: Path
    tables: str
    variant: str
    rng: random.Random
    corpus: str = "corpus.jsonl"
    settings: dict[str, str] = field(default_factory=dict)
    """More of the decode's environment."""
    codes: list[int] = field(default_factory=list)
    """Exit codes so far."""
    told: list[str] = field(default_factory=list)
    """What each of these runs said."""

    def start(self, *overrides: str, harm: Harm | None = None) -> Job:
        """Begin the decode, or go on with it."""
        log = self.folder / f"log-{len(list(self.folder.glob('log-*')))}"
        log.touch()
        return Command(self.config(), overrides, self.environment(), log, harm).start()

    def end(self, job: Job) -> int:
        """Wait for a decode; its exit code is noted."""
        self.codes.append(job.ended())
        self.told.append(job.said())
        return self.codes[-1]

    @property
    def said(self) -> str:
        """What the last run said."""
        return self.told[-1]

    def finish(self, harm: Harm | None = None, well: Sequence[int] = (0,)) -> None:
        """The same command again and again until it ends well. Raises RuntimeError where it never does."""
        for _ in range(TRIES):
            if self.codes and self.codes[-1] in well:
                return
            self.end(self.start(harm=harm))
        if self.codes[-1] not in well:
            raise RuntimeError(f"exit codes {self.codes}, the last one with: {self.said[-500:]}")

    @contextmanager
    def watched(self, seen: Seen) -> Iterator[None]:
        """Requests pass `seen` for the length of the block; it may name a fault (see `Request`)."""
        self.bench.watch.append(seen)
        try:
            yield
        finally:
            self.bench.watch.remove(seen)

    def read(self, corpus: bytes) -> None:
        """Decode these JSON lines instead of the usual documents."""
        self.corpus = f"{self.folder.name}.jsonl"
        client_of(self.bench.server).put_object(Bucket=BUCKET, Key=self.corpus, Body=corpus)

    def config(self) -> Path:
        """The configuration, written where the logs are."""
        path = self.folder / "decode.yaml"
        corpus = {"paths": [f"s3://{BUCKET}/{self.corpus}"], "unit_documents": UNIT_DOCUMENTS} | COLUMNS
        values = {"output": self.tables, "corpus": corpus} | DECODE | VARIANTS[self.variant]
        path.write_text(yaml.safe_dump(values))
        return path

    def environment(self) -> dict[str, str]:
        """That of the decode: S3 is behind the proxy."""
        return dict(os.environ) | {
            "AWS_ENDPOINT_URL": self.bench.proxy,
            "NLA_RAY_CACHE": str(self.folder / "cache"),
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(Path(__file__).parents[2]),
            **self.settings,
        }


@contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    """A bench with its servers; this process finds the S3 server in its environment too."""
    (folder / "s3").mkdir(parents=True)
    with seaweedfs(folder / "s3", {"key": (SECRET, ALL)}) as server, pytest.MonkeyPatch.context() as patch:
        settings = {
            "AWS_ENDPOINT_URL": server,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NLA_RAY_CACHE": str(folder / "cache"),
            "OMP_NUM_THREADS": "1",
        }
        for name, value in settings.items():
            patch.setenv(name, value)
        watch: list[Seen] = []
        with faulty(
            server, lambda request: next(filter(None, (seen(request) for seen in watch)), None)
        ) as url:
            made = Bench(folder, server, url, watch)
            client = client_of(server)
            client.create_bucket(Bucket=BUCKET)
            client.put_object(Bucket=BUCKET, Key="corpus.jsonl", Body=documents(DOCUMENTS))
            for file in sorted(PAIR.glob("*/*")):
                if file.parent.name in MODELS:
                    client.put_object(
                        Bucket=BUCKET, Key=f"models/{file.relative_to(PAIR)}", Body=file.read_bytes()
                    )
            yield made


def documents(n: int) -> bytes:
    """The first so many documents of the shipped corpus, as JSON lines."""
    with (PAIR / "corpus.jsonl").open("rb") as file:
        return b"".join(itertools.islice(file, n))
