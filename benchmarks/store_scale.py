"""Does the store hold at the size of a fleet? One run of many units; one run of a cell among many runs.

python benchmarks/store_scale.py units --sizes 10000 100000 1000000 --folder /tmp/scale
python benchmarks/store_scale.py runs --sizes 10000 --folder /tmp/scale

No model is asked: a unit is one real Parquet file with one small vector. Every phase is a process of its
own, so that its peak of memory is its own. A request is what S3 would be asked: a listing is one for each
1000 keys.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

from nla_ray.store import connect
from nla_ray.store.catalog.files import FileList, FileRecord
from nla_ray.store.catalog.index import Entry, known_runs, put_index
from nla_ray.store.places.folder import FolderStore
from nla_ray.store.places.objects import Listed
from nla_ray.store.runs.commit import commit
from nla_ray.store.runs.layout import cell_key, commit_key, list_key, plan_key
from nla_ray.store.runs.manifest import Manifest, Stored, files_of, get_manifest
from nla_ray.store.runs.plan import Plan
from nla_ray.store.runs.run import open_run
from nla_ray.store.runs.unit_file import _seal, to_bytes, unit_facts
from nla_ray.store.runs.units import RunRef
from nla_ray.store.sql import read as reading
from nla_ray.tables import ACTIVATIONS, table_of

RUN, TABLE, KEYS_A_LISTING = "million", "activations", 1000
FILES_AT_ONCE = 10_000
"""Most small files of one question, each of which takes 100 kB meanwhile; of more, merged ones are asked."""

CELLS = 500
"""Cells in a week of the root with many runs."""


class Counting(FolderStore):
    """A folder that counts what S3 would be asked."""

    requests: ClassVar[Counter[str]] = Counter()

    def put_new(self, key: str, data: bytes) -> bool:
        """One PUT."""
        self.requests["put"] += 1
        return super().put_new(key, data)

    def get(self, key: str) -> bytes:
        """One GET."""
        self.requests["get"] += 1
        return super().get(key)

    def tail(self, key: str, n: int) -> bytes:
        """One GET of a range."""
        self.requests["tail"] += 1
        return super().tail(key, n)

    def identify(self, key: str) -> tuple[int, str]:
        """One HEAD."""
        self.requests["head"] += 1
        return super().identify(key)

    def entries(self, prefix: str) -> list[Listed]:
        """One request for each thousand keys."""
        found = super().entries(prefix)
        self.requests["list"] += 1 + len(found) // KEYS_A_LISTING
        return found

    def keys(self, prefix: str) -> list[str]:
        """See `entries`."""
        found = super().keys(prefix)
        self.requests["list"] += 1 + len(found) // KEYS_A_LISTING
        return found

    def local(self, key: str, sha256: str, *, fresh: bool = False) -> Path:
        """One GET, where no copy is at hand."""
        self.requests["get"] += 1
        return super().local(key, sha256, fresh=fresh)


def unit_ids(n: int) -> list[str]:
    """Ids as long as real ones."""
    return [sha256(str(number).encode()).hexdigest()[:32] for number in range(n)]


def plan_of(n: int) -> Plan:
    """One row a unit."""
    facts: dict[str, Any] = {"layer": 3, "models": {"target": "t", "av": "a", "ar": "r"}}
    return Plan(run_id=RUN, table=TABLE, units=dict.fromkeys(unit_ids(n), 1), facts=facts)


def unit_bytes(ref: RunRef, unit_id: str) -> bytes:
    """The file of a unit."""
    row = {"run_id": ref.run_id, "unit_id": unit_id, "row_id": unit_id, "doc_id": "d" + unit_id[:8]}
    more = {"n_raw_tokens": 9, "activation_layer": 3, "activation_vector": [1.0, 2.0]}
    facts = unit_facts(ref.plan_sha256, ref.run_id, unit_id, planned=1)
    return to_bytes(table_of([row | more], ACTIVATIONS), facts)


def stamp(ref: RunRef) -> Callable[[str], bytes]:
    """Makes `unit_bytes` with the ids of other units; only checksums of pages, which nobody asks, are off."""
    mine = sha256(b"stamp").hexdigest()[:32]
    data = unit_bytes(ref, mine)
    (found,) = re.findall(rb"nla_ray.seal.*?([0-9a-f]{64})", data, re.S)
    before, _, after = data.rpartition(found)

    def make(unit_id: str) -> bytes:
        parts = [
            part.replace(mine.encode(), unit_id.encode()).replace(mine[:8].encode(), unit_id[:8].encode())
            for part in (before, after)
        ]
        return _seal(*parts).encode().join(parts)

    return make


def write_some(folder: str, ref: RunRef, units: list[str]) -> list[tuple[str, str, int]]:
    """What workers write, without waiting for the disk; unit, digest and size of each file."""
    make, made = stamp(ref), []
    for unit_id in units:
        data = make(unit_id)
        (Path(folder) / ref.key(unit_id)).write_bytes(data)
        made.append((unit_id, sha256(data).hexdigest(), len(data)))
    return made


def write_units(folder: Path, ref: RunRef, units: list[str]) -> None:
    """Write units and keep what their writers would tell, in `told.jsonl`."""
    (folder / ref.key("x")).parent.mkdir(parents=True, exist_ok=True)
    some = [units[at : at + 2000] for at in range(0, len(units), 2000)]
    with ProcessPoolExecutor(2) as pool, (folder.parent / "told.jsonl").open("w") as told:
        for made in pool.map(write_some, [str(folder)] * len(some), [ref] * len(some), some):
            told.writelines(json.dumps(one) + "\n" for one in made)


def told(folder: Path, ref: RunRef) -> Iterator[FileRecord]:
    """Records of the second attempt's writers, as a driver gets them one by one."""
    with (folder.parent / "told.jsonl").open() as lines:
        for line in lines:
            unit_id, digest, size = json.loads(line)
            yield FileRecord(ref.key(unit_id), unit_id, digest, size, 1)


def plan_phase(folder: Path, n: int) -> dict[str, Any]:
    """Make the plan and begin the run."""
    run = open_run(Counting(folder), plan_of(n), add=True)
    return {"plan_bytes": len(run.store.get(plan_key(RUN)))}


def first_half(folder: Path, n: int) -> dict[str, Any]:
    """The first attempt's workers write half of the units."""
    write_units(folder, RunRef.of(plan_of(n)), unit_ids(n)[: n // 2])
    return {}


def resume_phase(folder: Path, n: int) -> dict[str, Any]:
    """A second driver finds out what is missing."""
    return {"missing": len(open_run(Counting(folder), plan_of(n), add=True).missing())}


def second_half(folder: Path, n: int) -> dict[str, Any]:
    """The second attempt's workers write the rest."""
    write_units(folder, RunRef.of(plan_of(n)), unit_ids(n)[n // 2 :])
    return {}


def commit_phase(folder: Path, n: int) -> dict[str, Any]:
    """Commit: half of the units are told of by their writers, the others are read as a whole."""
    plan, store = plan_of(n), Counting(folder)
    files = FileList.of(RUN, told(folder, RunRef.of(plan)))
    manifest = commit(store, plan, {}, files)
    sizes = {one.key: one.bytes for one in store.entries("commits/") + store.entries("manifests/")}
    key = list_key(RUN, manifest.files_sha256 or "")
    return {"list_bytes": sizes[key], "head_bytes": sizes[commit_key(RUN)]}


def list_phase(folder: Path, n: int) -> dict[str, Any]:
    """Read the committed list of files."""
    store = Counting(folder)
    stored = get_manifest(store, RUN)
    return {"files": len(files_of(store, stored.manifest)) if stored else 0}


def query_phase(folder: Path, n: int) -> dict[str, Any]:
    """Open the tables and ask one question of every file."""
    with connect(folder) as connection:
        (found,) = connection.sql("SELECT count(*), sum(n_raw_tokens) FROM activations").fetchall()
    return {"rows": found[0]}


def compact_phase(folder: Path, n: int) -> dict[str, Any]:
    """Merge the files of the run."""
    from nla_ray.store.upkeep.compact import compact

    done = compact(Counting(folder), RUN)
    return {"files_after": done.files_after, "bytes_after": done.bytes_after}


def many_runs(folder: Path, n: int) -> dict[str, Any]:
    """A root of many committed runs in the format of commits, each of two units and that of two cells.

    The second cell is one of the next year, to which the run was assigned later.
    """
    store, entries, previous = FolderStore(folder), list[Entry](), dict[str, str]()
    for number in range(n):
        run_id = sha256(f"run{number}".encode()).hexdigest()[:32]
        labels = {"sweep": "s", "week": f"2026-W{number // CELLS:02}", "corpus": f"c{number % 20}"}
        labels |= {"model": f"m{number % CELLS // 20}", "layer": "3"}
        plan = Plan(run_id=run_id, table=TABLE, units={"u0": 1, "u1": 1}, facts={"layer": 3}, labels=labels)
        ref, records = RunRef.of(plan), []
        for unit in plan.units:
            data, path = unit_bytes(ref, unit), folder / ref.key(unit)
            _write(path, data)
            records.append(FileRecord(ref.key(unit), unit, sha256(data).hexdigest(), len(data), 1))
        listed = FileList.of(run_id, records).to_bytes()
        digest = sha256(listed).hexdigest()
        manifest = Manifest(
            run_id=run_id, table=TABLE, sides=(), plan_sha256=ref.plan_sha256, labels=labels,
            order=number + 1, units=2, rows=2, quarantined=0, files=2, files_sha256=digest,
            bytes=sum(one.bytes for one in records), previous=previous, record={"finished_at": "2026-01-01"},
        )  # fmt: skip
        head = manifest.canonical().encode()
        _write(folder / plan_key(run_id), plan.to_bytes())
        _write(folder / list_key(run_id, digest), listed)
        _write(folder / commit_key(run_id), head)
        later = labels | {"week": f"2027-W{number // CELLS:02}"}
        _write(folder / cell_key(later, n + number + 1, run_id), b"{}")
        stored = Stored(manifest, sha256(head).hexdigest())
        previous = {run_id: stored.sha256}
        if number < n - 63:
            entries.append(Entry.of(stored))
    key = put_index(store, entries)
    return {"index_bytes": (folder / key).stat().st_size, "lacking": n - len(entries)}


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def open_cell(folder: Path, n: int) -> dict[str, Any]:
    """Open one cell of a week that shares its run, where 63 runs are not in the index yet."""
    setattr(reading, "open_store", Counting)  # noqa: B010 (a name that the module does not export)
    labels = {"sweep": "s", "week": "2027-W07", "model": "m3", "corpus": "c4"}
    with connect(folder, labels=labels) as connection:
        (found,) = connection.sql("SELECT count(*), count(DISTINCT run_id) FROM activations").fetchall()
    return {"rows": found[0], "runs": found[1]}


def open_without_index(folder: Path, n: int) -> dict[str, Any]:
    """What it would cost to know of every run without an index."""
    store = Counting(folder)
    shutil.move(folder / "index", folder.parent / "index")
    try:
        return {"runs": len(known_runs(store).entries)}
    finally:
        shutil.move(folder.parent / "index", folder / "index")


PHASES: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    "plan": plan_phase,
    "first half written": first_half,
    "resume": resume_phase,
    "second half written": second_half,
    "commit": commit_phase,
    "list read": list_phase,
    "query": query_phase,
    "compact": compact_phase,
    "query compacted": query_phase,
}
RUNS: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    "runs made": many_runs,
    "one cell opened": open_cell,
    "no index": open_without_index,
}


def measured(question: str, name: str, folder: Path, n: int) -> dict[str, Any]:
    """Run a phase in a process of its own."""
    code = [sys.executable, __file__, "phase", "--name", name, "--sizes", str(n), "--folder", str(folder)]
    ended = subprocess.run([*code, "--of", question], capture_output=True, text=True, check=False)
    if ended.returncode:
        return {"phase": name, "failed": ended.stderr.strip().splitlines()[-1][:200]}
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    print(json.dumps(found), flush=True)
    return found


def phase(name: str, of: str, folder: Path, n: int) -> None:
    """Time one phase and print what it took."""
    began, cpu = time.perf_counter(), time.process_time()
    found = (PHASES if of == "units" else RUNS)[name](folder, n)
    taken = {
        "phase": name,
        "n": n,
        "seconds": round(time.perf_counter() - began, 2),
        "cpu_seconds": round(time.process_time() - cpu, 2),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "requests": dict(Counting.requests),
    }
    print(json.dumps(taken | found))


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("question", choices=["units", "runs", "phase"])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--name")
    parser.add_argument("--of", default="units")
    parser.add_argument(
        "--skip", nargs="*", default=[], help="Phases to leave out; to compact takes longest."
    )
    given = parser.parse_args()
    if given.question == "phase":
        phase(given.name, given.of, given.folder, given.sizes[0])
        return
    results = []
    for n in given.sizes:
        root = given.folder / str(n) / "tables"
        skipped = {*given.skip, *(["query"] if n > FILES_AT_ONCE else [])}
        for name in PHASES if given.question == "units" else RUNS:
            if name not in skipped:
                results.append(measured(given.question, name, root, n))
        shutil.rmtree(given.folder / str(n), ignore_errors=True)
    from benchmarks._common import environment, write_result

    write_result(
        f"store_scale_{given.question}", "cpu", {"environment": environment("cpu"), "phases": results}
    )


if __name__ == "__main__":
    main()
