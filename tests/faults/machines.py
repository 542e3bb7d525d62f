"""Faults of machines: nodes of a Ray cluster that go away, an object store that is too small, a full disk."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.bench import Trial
from tests.runtime.processes import family, gone, wait_until
from tests.store.seaweed import free_ports

HERE = "127.0.0.1"
SMALL_STORE = 80 << 20
SPILL_AT_ONCE = '{"object_spilling_threshold": 0.0001, "min_spilling_size": 1}'
FULL = 200 << 10


@contextmanager
def nodes(trial: Trial, *cpus: int, spill: bool = False) -> Iterator[list[subprocess.Popen[bytes]]]:
    """A Ray cluster whose head takes no work and whose nodes have so many cores; a decode is told of it."""
    port, *agents = free_ports(2 + len(cpus))
    # Paths of sockets may have a hundred characters, and those of tests have half of them.
    short = tempfile.mkdtemp(prefix="nla-")
    (trial.folder / "ray").symlink_to(short)
    token = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    trial.settings |= token | {"RAY_ADDRESS": f"{HERE}:{port}", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
    common = [f"--node-ip-address={HERE}", f"--object-store-memory={SMALL_STORE}", "--disable-usage-stats"]
    head = ["--head", "--num-cpus=0", f"--port={port}", "--include-dashboard=false",
            f"--temp-dir={short}"]  # fmt: skip
    head += [f"--system-config={SPILL_AT_ONCE}"] if spill else []
    started = [_node(trial, "head", *common, f"--dashboard-agent-listen-port={agents[0]}", *head)]
    try:
        _answers(trial, "head")
        for agent, count in zip(agents[1:], cpus, strict=True):
            name = f"node-{agent}"
            options = (
                f"--dashboard-agent-listen-port={agent}",
                f"--address={HERE}:{port}",
                f"--num-cpus={count}",
            )
            started.append(_node(trial, name, *common, *options))
            _answers(trial, name)
        yield started[1:]
    finally:
        below = [one for process in started for one in family(process.pid)]
        for process in reversed(started):
            process.terminate()
            process.wait(60)
        for one in below:
            if one.alive():
                os.kill(one.pid, signal.SIGKILL)
        gone(below)
        shutil.rmtree(short)


def _node(trial: Trial, name: str, *options: str) -> subprocess.Popen[bytes]:
    command = [str(Path(sys.executable).with_name("ray")), "start", "--block", *options]
    with (trial.folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(command, env=trial.environment(), stdout=log, stderr=log, cwd=trial.folder)


def _answers(trial: Trial, name: str) -> None:
    log = trial.folder / f"{name}.log"
    wait_until(lambda: "Ray runtime started" in log.read_text(errors="replace"), f"{name}: {log}")


def raylet_killed(trial: Trial) -> None:
    """The raylet of one of two nodes is killed while units are made."""
    with nodes(trial, 1, 2) as (doomed, _):
        job = trial.start("runner.address=null")
        time.sleep(trial.rng.uniform(5, 20))
        for one in family(doomed.pid):
            if "/raylet" in one.title().split(" ")[0]:
                os.kill(one.pid, signal.SIGKILL)
        trial.end(job)
        trial.finish()


def undisturbed_nodes(trial: Trial) -> None:
    """Two nodes with nothing wrong: their rows are those of one process."""
    with nodes(trial, 1, 1):
        trial.end(trial.start("runner.address=null"))
        trial.finish()


def spilled(trial: Trial) -> None:
    """Vectors between the pools do not fit into the object store and go over the disk."""
    with nodes(trial, 2, spill=True):
        job, seen = trial.start("runner.address=null"), False
        while job.process.is_alive():
            seen = seen or any(
                file.is_file() for file in (trial.folder / "ray").resolve().glob("**/ray_spilled_objects*/*")
            )
            time.sleep(0.05)
        trial.end(job)
        trial.finish()
    if not seen:
        raise RuntimeError("nothing was spilled: the trial shows nothing")


def full_disk(trial: Trial) -> None:
    """The disk of the tables is full after a few units; then there is room again."""
    folder = Path(trial.tables)
    folder.mkdir()
    mount = [
        "mount",
        "-t",
        "tmpfs",
        "-o",
        f"size={trial.rng.randrange(FULL // 4, FULL)}",
        "none",
        str(folder),
    ]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        raise PermissionError("only root can make a small disk")
    try:
        trial.end(trial.start())
        subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True)
        trial.finish()
        keep = folder.with_name("kept")
        subprocess.run(["cp", "-a", str(folder), str(keep)], check=True)
        trial.tables = str(keep)
    finally:
        subprocess.run(["umount", str(folder)], check=True)
