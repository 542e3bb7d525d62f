"""What does Ray cost a decode, against the same stages in one process?

    python -m benchmarks.decode
    python -m benchmarks.decode jobs/decode_qwen7b.yaml 'corpus.paths=[chats.jsonl]' runner.pool.gpus=1

Each side is a process of its own that decodes the same corpus into an empty folder, one worker with the same
number of torch threads; the sides take turns. Speed is what the run itself records: vectors over the seconds
until the last unit is written, loading the models and starting actors included. Memory is the largest sum of
proportional set sizes over all processes of a side, sampled every three seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from benchmarks._common import spread, write_result
from nla_ray.store import open_store
from nla_ray.store.runs.manifest import get_manifests

SAMPLE_S = 3.0


def main() -> None:
    """Run the sides in turn and write the result."""
    args = _arguments()
    sides = {
        "ray": ["runner.name=ray", f"runner.pool.threads={args.threads}", "runner.pool.actors=1"],
        "local": ["runner.name=local"],
    }
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    for repeat in range(args.repeats):
        for name in list(sides)[:: 1 if repeat % 2 == 0 else -1]:
            runs[name].append(run(args, sides[name]))
            print(name, runs[name][-1], flush=True)
    speed = {name: [one["vectors_per_second"] for one in made] for name, made in runs.items()}
    ratios = [ray / local for ray, local in zip(speed["ray"], speed["local"], strict=True)]
    write_result(
        "decode",
        args.device,
        {
            "peer": "the same stages one after the other in one process",
            "config": vars(args) | {"config": args.config.name},
            "vectors": runs["ray"][0]["vectors"],
            "seconds": {name: spread([one["seconds"] for one in made]) for name, made in runs.items()},
            "vectors_per_second": {name: spread(values) for name, values in speed.items()},
            "ratio": spread(ratios),
            "peak_gib": {name: spread([one["peak_gib"] for one in made]) for name, made in runs.items()},
        },
    )


def run(args: argparse.Namespace, overrides: list[str]) -> dict[str, float]:
    """Decode once in a process of its own; what the run recorded and how much memory its processes took."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "nla_ray", "decode", str(args.config), f"output={folder}/tables"]
        command += [f"sampling.samples={args.samples}", *overrides, *args.overrides]
        environment = os.environ | {"OMP_NUM_THREADS": str(args.threads)}
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        peak = Peak(process.pid)
        if process.wait():
            raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}")
        (stored,) = get_manifests(open_store(f"{folder}/tables"))
    attempt: dict[str, Any] = json.loads(json.dumps(stored.manifest.record["attempt"]))
    return {name: attempt[name] for name in ("vectors", "seconds", "vectors_per_second")} | {
        "peak_gib": peak.stop() / 2**30
    }


class Peak:
    """Samples the memory of a process and all that came from it, in a thread."""

    def __init__(self, root: int) -> None:
        self._root, self._peak = root, 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """The largest sum in bytes."""
        self._stop.set()
        self._thread.join()
        return self._peak

    def _watch(self) -> None:
        while not self._stop.wait(SAMPLE_S):
            self._peak = max(self._peak, sum(map(proportional_bytes, family(self._root))))


def family(root: int) -> list[int]:
    """A process and all processes below it, by the parents in /proc."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def proportional_bytes(pid: int) -> int:
    """Proportional set size; 0 for a process that has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path, nargs="?", default=Path("jobs/decode_demo.yaml"))
    parser.add_argument("--samples", type=int, default=6, help="answers per vector: how long a side works")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu", help="named in the result")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    return parser.parse_args()


if __name__ == "__main__":
    main()
