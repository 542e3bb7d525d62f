"""Jobs as processes of their own, that tests may kill, and what is left of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

ROOT = Path(__file__).parents[2]
PATIENCE_S = 300.0
WORKER = "ray::MapWorker"


@dataclass(frozen=True)
class Process:
    """A process by its id and the time when it began, for ids are used again."""

    pid: int
    began: str

    def alive(self) -> bool:
        """Whether it runs still; one that nobody has waited for yet does not."""
        found = stat_of(self.pid)
        return found is not None and found[19] == self.began and found[0] != "Z"

    def title(self) -> str:
        """Its command line."""
        try:
            return Path(f"/proc/{self.pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        except OSError:
            return ""


def stat_of(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on; None for a process that has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def family(root: int) -> list[Process]:
    """All processes below a process, by their parents."""
    stats = {int(one.name): stat_of(int(one.name)) for one in Path("/proc").iterdir() if one.name.isdigit()}
    found = [root]
    for pid in found:
        found += [child for child, stat in stats.items() if stat is not None and int(stat[1]) == pid]
    return [Process(pid, stat[19]) for pid in found[1:] if (stat := stats[pid]) is not None]


def wait_until(true: Callable[[], object], what: str, job: Job | None = None) -> None:
    """Return once something is true. Fails after a long time, or when the job ends before."""
    end = time.monotonic() + PATIENCE_S
    while not true():
        ended = job is not None and job.popen.poll() is not None
        assert not ended and time.monotonic() < end, f"{what} never came\n{job and job.said()}"
        time.sleep(0.005)


@dataclass(frozen=True)
class Job:
    """A running `jobs/decode_corpus.py`."""

    popen: subprocess.Popen[bytes]
    log: Path

    def said(self) -> str:
        """What it printed so far."""
        return self.log.read_text(errors="replace")

    def ended(self) -> int:
        """Its exit code, once it has ended."""
        return self.popen.wait(PATIENCE_S)

    def killed(self) -> list[Process]:
        """Kill it; the processes that it had."""
        below = family(self.popen.pid)
        self.popen.send_signal(signal.SIGKILL)
        assert self.ended() == -signal.SIGKILL, self.said()
        return below


@contextmanager
def job(config: Path, *overrides: str) -> Iterator[Job]:
    """Start a job; it is killed at the end of the block if it runs still."""
    command = [sys.executable, str(ROOT / "jobs" / "decode_corpus.py"), "--config", str(config), *overrides]
    log = config.with_suffix(f".{time.monotonic_ns()}.log")
    with (
        log.open("wb") as out,
        subprocess.Popen(command, env=os.environ | environment(), stdout=out, stderr=out) as popen,
    ):
        try:
            yield Job(popen, log)
        finally:
            popen.kill()


def environment() -> dict[str, str]:
    """What the processes of a job need to know: where the code is, threads as here."""
    return {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(torch.get_num_threads())}


def gone(processes: list[Process]) -> None:
    """Assert that processes end, if not at once."""
    wait_until(lambda: not any(one.alive() for one in processes), f"the end of {processes}")
