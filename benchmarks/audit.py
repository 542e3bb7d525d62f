"""How long does an audit's matching take, beside one plain scan of the same text by one DuckDB expression?

    python -m benchmarks.audit                  # 2 million explanations of about 600 characters
    python -m benchmarks.audit --rows 200000

All sides read the same committed tables with the same threads. Ours finds the hits of all shipped packs, with
keys, quotes and places. The peers scan the text once with one alternation of 20 words that say most plainly
what packs look for: `count` only counts the rows that match, `rows` also returns their keys and text. Each
call is a process of its own, so that its time and its peak memory are its own; reading and verifying files
before it starts (`connect`) is left out of all.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from benchmarks._common import spread, write_result
from nla_ray.audit.detect.hits import find_hits
from nla_ray.audit.detect.patterns import literal
from nla_ray.config.detectors.packs import load_packs
from nla_ray.demo import world
from nla_ray.store import connect, open_run, open_store
from nla_ray.store.runs.plan import Plan
from nla_ray.tables import EXPLANATIONS
from nla_ray.text import normalise

UNIT_ROWS = 125_000
SENTENCES, POOL = 14, 4000
ROWS_PER_DOCUMENT = 20
WORDS = (
    "evaluat", "benchmark", "contriv", "grader", "tamper", "detection", "ground truth", "reward", "hidden",
    "decept", "deceiv", "sabotag", "violence", "harmful", "privacy", "personal data", "sycophan", "flatter",
    "shutdown", "weights",
)  # fmt: skip


def main() -> None:
    """Run all sides in turn and write the result; with `--side`, be one of them."""
    args = _arguments()
    if args.side:
        print(json.dumps(_run(args.side, args.tables, args.threads)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.tables or Path(scratch) / "tables"
        if not folder.is_dir():
            write_tables(folder, args.rows, args.said, args.seed)
        load = os.getloadavg()[0]
        runs = _interleaved(folder, args)
        described = _describe(folder)
    write_result(
        "audit",
        "cpu",
        {
            "peers": "one scan, one alternation of 20 words: counts matching rows, or returns keys and text",
            "config": {key: getattr(args, key) for key in ("rows", "said", "threads", "repeats", "seed")},
            "corpus": described,
            "load_average_before": load,
            "hits": runs["ours"][0]["found"],
            "seconds": {side: spread([one["seconds"] for one in found]) for side, found in runs.items()},
            "cpu_seconds": {
                side: spread([one["cpu_seconds"] for one in found]) for side, found in runs.items()
            },
            "peak_memory_gib": {side: max(one["peak_gib"] for one in found) for side, found in runs.items()},
            "times_the_peer": {
                f"{measure} of {peer}": spread(_ratios(runs["ours"], runs[peer], measure))
                for peer in ("count", "rows")
                for measure in ("seconds", "cpu_seconds")
            },
        },
    )


SIDES: dict[str, Callable[[duckdb.DuckDBPyConnection], int]] = {}


def side(call: Callable[[duckdb.DuckDBPyConnection], int]) -> Callable[[duckdb.DuckDBPyConnection], int]:
    """Something to time; it returns how many rows or hits it found."""
    SIDES[call.__name__] = call
    return call


@side
def ours(connection: duckdb.DuckDBPyConnection) -> int:
    """Hits of all shipped packs."""
    find_hits(connection, load_packs())
    return int(connection.execute("SELECT count(*) FROM hits").fetchall()[0][0])


@side
def count(connection: duckdb.DuckDBPyConnection) -> int:
    """Rows that match one alternation, counted."""
    return int(connection.execute(f"SELECT count(*) {_SCAN}").fetchall()[0][0])


@side
def rows(connection: duckdb.DuckDBPyConnection) -> int:
    """Rows that match one alternation, with their keys and text, in a table."""
    columns = "run_id, row_id, sample, doc_id, position, control, fve_nrm, explanation, explanation_norm"
    connection.execute(f"CREATE TABLE matching AS SELECT {columns} {_SCAN}")
    return int(connection.execute("SELECT count(*) FROM matching").fetchall()[0][0])


_SCAN = f"FROM all_explanations WHERE regexp_matches(explanation_norm, {literal('|'.join(WORDS))})"


def _run(name: str, folder: Path, threads: int) -> dict[str, float]:
    connection = connect(folder)
    connection.execute(f"SET threads = {threads}")
    start, cpu = time.perf_counter(), time.process_time()
    found = SIDES[name](connection)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    # Unlike ru_maxrss, this does not begin with the peak of the process that started this one.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 2**20
    return {"found": found, "seconds": seconds, "cpu_seconds": cpu_seconds, "peak_gib": peak}


def _interleaved(folder: Path, args: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    """Results of each side, repeat by repeat; the order turns round every repeat."""
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in SIDES}
    for repeat in range(args.repeats):
        for name in list(SIDES)[:: 1 if repeat % 2 == 0 else -1]:
            command = [sys.executable, "-m", "benchmarks.audit", "--side", name, "--tables", str(folder)]
            done = subprocess.run([*command, "--threads", str(args.threads)], capture_output=True, check=True)
            runs[name].append(json.loads(done.stdout))
    return runs


def _ratios(mine: list[dict[str, float]], peer: list[dict[str, float]], measure: str) -> list[float]:
    return [one[measure] / other[measure] for one, other in zip(mine, peer, strict=True)]


def _describe(folder: Path) -> dict[str, Any]:
    sql = "SELECT count(*), avg(length(explanation)), count(DISTINCT doc_id) FROM all_explanations"
    found, mean, documents = connect(folder).execute(sql).fetchall()[0]
    return {"rows": found, "mean_characters": mean, "documents": documents}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--said", type=float, default=0.05, help="share of rows that say what packs look for")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tables", type=Path, help="keep the tables here and use them again")
    parser.add_argument("--side", choices=("ours", "count", "rows"), help=argparse.SUPPRESS)
    return parser.parse_args()


def write_tables(folder: Path, rows: int, said: float, seed: int) -> None:
    """Commit synthetic explanations; a share `said` of them says something that a detector looks for."""
    sizes = [min(UNIT_ROWS, rows - start) for start in range(0, rows, UNIT_ROWS)]
    units: dict[str, int | None] = {f"u{index:04}": size for index, size in enumerate(sizes)}
    models: dict[str, Any] = {"target": "t", "av": "a", "ar": "r"}
    plan = Plan(run_id="synthetic", units=units, facts={"seed": seed, "layer": 3, "models": models})
    run = open_run(open_store(folder), plan)
    for number, (unit, size) in enumerate(zip(units, sizes, strict=True)):
        run.write(unit, _unit(unit, size, said, np.random.default_rng([seed, number])))
    run.commit({"baseline": {"value": 0.8, "reference": "synthetic"}})


def _unit(unit: str, size: int, said: float, rng: np.random.Generator) -> pa.Table:
    texts, folded = explanations(size, said, rng)
    documents = np.arange(size) // ROWS_PER_DOCUMENT
    known: dict[str, Any] = {
        "run_id": ["synthetic"] * size,
        "unit_id": [unit] * size,
        "row_id": [f"{unit}{index:027}" for index in range(size)],
        "doc_id": [f"{unit}-{document}" for document in documents],
        "position": np.arange(size) % ROWS_PER_DOCUMENT + 10,
        "token": [" word"] * size,
        "role": ["assistant"] * size,
        "layer": np.full(size, 3),
        "control": np.where(rng.random(size) < 0.8, "real", "shuffled"),
        "sample": np.zeros(size),
        "outcome": ["ok"] * size,
        "flags": [[]] * size,
        "explanation": texts,
        "explanation_norm": folded,
        "raw_text": [None] * size,
        "mse_nrm": rng.random(size) * 0.4,
        "provenance": ["decoded"] * size,
    }
    columns = [pa.array(known.get(field.name, [None] * size)).cast(field.type) for field in EXPLANATIONS]
    return pa.Table.from_arrays(columns, schema=EXPLANATIONS)


def explanations(size: int, said: float, rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Texts of about 600 characters from the demo world's sentences, and the same normalised."""
    plain, telling = _pools(random.Random(int(rng.integers(2**31))))
    parts = rng.integers(len(plain), size=(size, SENTENCES))
    place = rng.integers(SENTENCES, size=size)
    tells = rng.random(size) < said
    which = rng.integers(len(telling), size=size)
    texts = [[plain[index] for index in row] for row in parts]
    for row in np.flatnonzero(tells):
        texts[row][place[row]] = telling[which[row]]
    folded = {sentence: normalise(sentence) for sentence in (*plain, *telling)}
    joined = ["\n\n".join(sentences) for sentences in texts]
    return joined, ["\n\n".join(folded[sentence] for sentence in sentences) for sentences in texts]


def _pools(rng: random.Random) -> tuple[list[str], list[str]]:
    """Sentences that no detector looks for, and sentences that name a mood or a planted safety property."""
    words = world.lexicon()
    documents = list(world.documents(rng.randrange(2**31), POOL))
    subjects = [world.explanation(one, {}, "x", rng).split("\n\n")[0] for one in documents]
    moods = [world.explanation(one, {"mood": one.mood}, "x", rng).split("\n\n")[0] for one in documents]
    clauses = [
        one.text[mark.start : mark.end]
        for one in documents
        for mark in one.marks
        if mark.prop in ("topic", "item")
    ]
    about = [f"Says that {clause}." for clause in clauses]
    endings = [f'Ends on "… {" ".join(clause.split()[-4:])}".' for clause in clauses]
    benign = [said for plan in words["safety"].values() for said in plan["benign_said"]]
    telling = [said for plan in words["safety"].values() for said in plan["said"]]
    return [*subjects, *about, *endings, *benign * (POOL // 20)], [*moods, *telling * (POOL // len(telling))]


if __name__ == "__main__":
    main()
