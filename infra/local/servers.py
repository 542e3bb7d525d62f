"""Servers of this machine that live as long as a block, and end with all their processes, by their ids."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = "127.0.0.1"
PATIENCE_S = 180.0


@dataclass(frozen=True)
class Local:
    """Where everything is, and the environment of what runs there."""

    folder: Path
    ports: Mapping[str, int]
    environment: Mapping[str, str]

    def url(self, port: str) -> str:
        """Address of a server."""
        return f"http://{HERE}:{self.ports[port]}"

    def start(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        """A command that has begun; what it says is in the file `NAME.log`."""
        with (self.folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                command, env=self.environment, cwd=self.folder, stdout=log, stderr=subprocess.STDOUT
            )

    @contextmanager
    def server(self, name: str, port: str, *command: str) -> Iterator[subprocess.Popen[bytes]]:
        """A server for as long as the block lasts, from when it answers; it ends with all its processes."""
        process = self.start(name, *command)
        try:
            wait_for(lambda: answers(self.ports[port], process), f"{name}; see {self.folder}/{name}.log")
            yield process
        finally:
            end(process)


def answers(port: int, process: subprocess.Popen[bytes]) -> bool:
    """Whether a server accepts connections. Raises RuntimeError where its process has ended."""
    if process.poll() is not None:
        raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
    with socket.socket() as probe:
        return probe.connect_ex((HERE, port)) == 0


def wait_for(true: Callable[[], object], what: str, patience_s: float = PATIENCE_S) -> None:
    """Return once something is true. Raises TimeoutError."""
    last = time.monotonic() + patience_s
    while not true():
        if time.monotonic() > last:
            raise TimeoutError(f"waited {patience_s:.0f} s for {what}")
        time.sleep(0.5)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started: politely, then not."""
    below = family(process.pid)
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pid, began in below.items():
        if began_at(pid) == began:
            os.kill(pid, signal.SIGKILL)


def family(root: int) -> dict[int, str]:
    """The processes below a process, each with when it began, for ids are used again."""
    parents = {
        int(one.name): fields_of(int(one.name))[1:2] for one in Path("/proc").iterdir() if one.name.isdigit()
    }
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == [str(pid)]]
    return {pid: began_at(pid) for pid in found[1:]}


def named_below(root: int, name: str) -> list[int]:
    """Processes below a process whose program has this name."""
    return [pid for pid in family(root) if program_of(pid) == name]


def program_of(pid: int) -> str:
    """The name of a process's program; empty where it has ended."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def began_at(pid: int) -> str:
    """When a process began; empty for one that is not there."""
    return "".join(fields_of(pid)[19:20])


def fields_of(pid: int) -> list[str]:
    """What Linux says of a process, from its state on."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def free_ports(names: Sequence[str]) -> dict[str, int]:
    """A port of this machine for each name."""
    with ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in names]
        for one in found:
            one.bind((HERE, 0))
        return {name: one.getsockname()[1] for name, one in zip(names, found, strict=True)}
