"""What do Ray, S3 and the commit add to the decode itself, where a unit takes a minute?

    python -m benchmarks.full_path
    python -m benchmarks.full_path jobs/decode_qwen7b.yaml --place s3://bucket/prefix runner.pool.gpus=1

One worker decodes a corpus through Ray into a bucket: of a SeaweedFS server on this machine, or the one
named. The peer is the same run's own decode: seconds in which a stage worked, as every unit records them.
`each_unit` is what lies between two units beside that (handing over, writing, waiting; from the run's
events), `start` is from the command to the first unit less its decode, `end` from the last unit to the
command's exit.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks._common import spread, write_result
from nla_ray.store import open_store
from nla_ray.store.places.objects import Store
from nla_ray.store.runs.layout import unit_key
from nla_ray.store.runs.manifest import get_manifests
from nla_ray.store.runs.unit_file import read_footer
from tests.store.conftest import BUCKET, SECRET, client_of
from tests.store.seaweed import ALL, seaweedfs


class Unit(NamedTuple):
    """When it was written, in seconds since 1970, and the seconds that its stages worked."""

    done: float
    busy: float


def main() -> None:
    """Decode once and write the result."""
    args = _arguments()
    with _place(args.place) as place:
        started = time.time()
        command = [sys.executable, "-m", "nla_ray", "decode", str(args.config), f"output={place}"]
        command += [f"sampling.samples={args.samples}", f"corpus.unit_documents={args.documents}"]
        command += ["runner.name=ray", "runner.pool.actors=1", *args.overrides]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        ended = time.time()
        units = units_of(place)
    write_result("full_path", args.device, figures(args, units, started, ended))


def figures(args: argparse.Namespace, units: list[Unit], started: float, ended: float) -> dict[str, Any]:
    """Seconds, and shares of the decode."""
    first, rest, busy = units[0], units[1:], sum(unit.busy for unit in units)
    between = units[-1].done - first.done - sum(unit.busy for unit in rest)
    return {
        "peer": "the busy seconds of the same run's stages",
        "config": vars(args) | {"config": args.config.name},
        "units": len(units),
        "unit_busy_seconds": spread([unit.busy for unit in units]),
        "seconds": {
            "start": first.done - first.busy - started,
            "each_unit": between / len(rest),
            "end": ended - units[-1].done,
        },
        "share_of_each_unit": between / sum(unit.busy for unit in rest),
        "share_of_whole": (ended - started) / busy - 1,
    }


def units_of(place: str) -> list[Unit]:
    """The units of the only run, in the order in which they were written."""
    store = open_store(place)
    (stored,) = get_manifests(store)
    run_id = stored.manifest.run_id
    lines = [
        json.loads(line)
        for entry in store.entries(f"events/{run_id}/")
        for line in store.get(entry.key).decode().splitlines()
    ]
    done = {one["unit"]: datetime.fromisoformat(one["time"]) for one in lines if one["event"] == "done"}
    return sorted(
        Unit(at.timestamp(), _busy(store, unit_key("explanations", run_id, unit)))
        for unit, at in done.items()
    )


def _busy(store: Store, key: str) -> float:
    seconds: Any = read_footer(store, key).tally["seconds"]
    return float(sum(seconds.values()))


@contextmanager
def _place(named: str | None) -> Iterator[str]:
    if named is not None:
        yield named
        return
    with tempfile.TemporaryDirectory() as folder, seaweedfs(Path(folder), {"key": (SECRET, ALL)}) as url:
        client_of(url).create_bucket(Bucket=BUCKET)
        os.environ |= {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "NLA_RAY_CACHE": f"{folder}/cache",
        }
        yield f"s3://{BUCKET}/tables"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path, nargs="?", default=Path("jobs/decode_demo.yaml"))
    parser.add_argument("--place", help="empty s3:// prefix, credentials as everywhere")
    parser.add_argument("--samples", type=int, default=20, help="answers per vector: how long a unit takes")
    parser.add_argument("--documents", type=int, default=40, help="of a unit")
    parser.add_argument("--device", default="cpu", help="named in the result")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    return parser.parse_args()


if __name__ == "__main__":
    main()
