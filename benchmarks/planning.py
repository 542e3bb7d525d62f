"""What does it cost to plan a corpus: the first time, again, for another target with the same tokenizer?

    python -m benchmarks.planning                                    # 200,000 documents in 20 files
    python -m benchmarks.planning --documents 20000 --files 20

The models are the demo pair, the documents those of its world, ten thousand of them again and again under
other ids. Every side is a process of its own: `one pass` reads the corpus from its first document to its last
as planning did before it was done by file; `first` makes the pieces in this process, `ray` as tasks on a
cluster of this machine's own; `again` and `shared` find them (the latter for a copy of the target elsewhere).
`read` counts the documents that a side read. Memory is the peak of the driver above what it has once
everything is imported; on Ray, what workers take is their own.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks._common import write_result
from nla_ray.config.decode import DecodeConfig
from nla_ray.config.models.reference import ModelRef
from nla_ray.corpus.documents.pieces import units_of
from nla_ray.nla.model.resolve import resolve
from nla_ray.pipelines.decode.pieces.cache import Cache
from nla_ray.pipelines.decode.planning import plan_decode
from nla_ray.pipelines.decode.survey import Reads
from nla_ray.runtime.workers import Workers
from nla_ray.stages.extract import reader_of, tokenizer_of, vocabulary_of
from nla_ray.stages.write import planned_rows
from nla_ray.store import open_store

SIDES = ("one pass", "first", "again", "shared", "ray")
POOL = 10_000


def main() -> None:
    """Run all sides in turn and write the result; with `--side`, be one of them."""
    args = _arguments()
    if args.side:
        print(json.dumps(SIDE[args.side](Path(args.folder))))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        shutil.copytree(resolve(ModelRef(path="demo:target")), folder / "target")
        write_corpus(folder / "corpus", args.documents, args.files)
        found = {side: _side(side, folder, args.documents) for side in SIDES}
        kept = sum(piece.stat().st_size for piece in (folder / "tables" / "planning").iterdir())
    sizes = {
        "documents": args.documents,
        "files": args.files,
        "kept_bytes_per_document": kept / args.documents,
    }
    write_result("planning", "cpu", {**sizes, "sides": found}, label=f"{args.documents // 1000}k")


def write_corpus(folder: Path, documents: int, files: int) -> None:
    """Files of JSON lines with an id and a text each."""
    lines = resolve_corpus()
    folder.mkdir()
    for number in range(files):
        with (folder / f"{number:05d}.jsonl").open("w") as file:
            for at in range(number, documents, files):
                file.write(json.dumps({"id": at, "text": lines[at % len(lines)]}) + "\n")


def resolve_corpus() -> list[str]:
    """Texts of the demo world."""
    from nla_ray.demo import world

    return [one.text for one in islice(world.documents(101, POOL), POOL)]


def one_pass(folder: Path) -> dict[str, Any]:
    """One process reads everything and cuts it."""
    config = config_of(folder)

    def plan() -> tuple[int, int]:
        target = None if config.target is None else resolve(config.target)
        tokenizer, vocabulary = tokenizer_of(config, target), vocabulary_of(config, target)
        reader = reader_of(config, tokenizer, d_model=64, layer=1, vocabulary=vocabulary)
        found = [
            (len(documents), source, planned_rows(config, [reader.read(one) for one in documents]))
            for source, documents in units_of(config.corpus)
        ]
        return len(found), sum(n for n, _, _ in found)

    return measured(plan)


def planning(folder: Path, *, target: str = "demo:target", runner: str = "local") -> dict[str, Any]:
    """The plan of a decode, as `nla-ray decode` makes it."""
    config = config_of(folder, target, runner)
    output = folder / ("tables" if runner == "local" else "others")

    def plan() -> tuple[int, int]:
        with Workers(config.runner) as workers, Cache(open_store(output), at_once=True) as cache:
            before = len(cache.keys)
            ready = plan_decode(config, Reads(workers, cache, lambda doing, documents: None))
        made = len(open_store(output).entries("planning/")) - before
        return len(ready.tasks), ready.survey.documents if made else 0

    return measured(plan)


def measured(plan: Callable[[], tuple[int, int]]) -> dict[str, Any]:
    """Seconds and memory of a plan; `plan` returns its units and how many documents it read."""
    before, start, cpu = peak_bytes(), time.perf_counter(), time.process_time()
    units, read = plan()
    return {
        "seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - cpu,
        "units": units,
        "read": read,
        "peak_bytes_above_imports": peak_bytes() - before,
    }


def peak_bytes() -> int:
    """The most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


SIDE: dict[str, Callable[[Path], dict[str, Any]]] = {
    "one pass": one_pass,
    "first": planning,
    "again": planning,
    "shared": lambda folder: planning(folder, target=str(folder / "target")),
    "ray": lambda folder: planning(folder, runner="ray"),
}


def config_of(folder: Path, target: str = "demo:target", runner: str = "local") -> DecodeConfig:
    """A decode of the documents by the demo pair."""
    return DecodeConfig.model_validate(
        {
            "output": str(folder / "tables"),
            "models": {"target": target, "av": "demo:av", "ar": "demo:ar"},
            "corpus": {"paths": [str(folder / "corpus")], "text": "text", "id": "id", "units": "content"},
            "runner": {"name": runner, "address": None if runner == "local" else "local"},
        }
    )


def _side(side: str, folder: Path, documents: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.planning", "--side", side, "--folder", str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found | {"cpu_microseconds_per_document": found["cpu_seconds"] / documents * 1e6}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--files", type=int, default=20)
    parser.add_argument("--side", choices=SIDES)
    parser.add_argument("--folder")
    return parser.parse_args()


if __name__ == "__main__":
    main()
