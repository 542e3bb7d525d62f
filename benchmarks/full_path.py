"""What do Ray, S3 and the commit add to the decode itself, where a unit takes a minute?

    python -m benchmarks.full_path
    python -m benchmarks.full_path jobs/decode_qwen7b.yaml --place s3://bucket/prefix runner.pool.gpus=1

One worker decodes a corpus through Ray into a bucket: of a SeaweedFS server on this machine, or the one
named. The peer is the same run's own decode: seconds in which a stage worked, as every unit records them. All
else from the command to its exit is `beside`: start of Ray and of the models, planning, writing, the commit.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks._common import spread, write_result
from nla_ray.store import open_store
from nla_ray.store.runs.layout import unit_prefix
from nla_ray.store.runs.manifest import get_manifests
from nla_ray.store.runs.unit_file import read_footer
from tests.store.conftest import BUCKET, SECRET, client_of
from tests.store.seaweed import ALL, seaweedfs


def main() -> None:
    """Decode once and write the result."""
    args = _arguments()
    with _place(args.place) as place:
        started = time.monotonic()
        command = [sys.executable, "-m", "nla_ray", "decode", str(args.config), f"output={place}"]
        command += [f"sampling.samples={args.samples}", f"corpus.unit_documents={args.documents}"]
        command += ["runner.name=ray", "runner.pool.actors=1", *args.overrides]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds = time.monotonic() - started
        units = units_of(place)
    write_result("full_path", args.device, figures(args, units, seconds))


def figures(args: argparse.Namespace, units: list[float], seconds: float) -> dict[str, Any]:
    """Seconds, and shares of the decode."""
    busy = sum(units)
    return {
        "peer": "the busy seconds of the same run's stages",
        "config": vars(args) | {"config": args.config.name},
        "units": len(units),
        "unit_busy_seconds": spread(units),
        "beside_seconds": seconds - busy,
        "share": seconds / busy - 1,
    }


def units_of(place: str) -> list[float]:
    """Busy seconds of the units of the only run."""
    store = open_store(place)
    (stored,) = get_manifests(store)
    keys = [entry.key for entry in store.entries(unit_prefix("explanations", stored.manifest.run_id))]
    tallies: list[Any] = [read_footer(store, key).tally for key in keys]
    return [float(sum(tally["seconds"].values())) for tally in tallies]


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
