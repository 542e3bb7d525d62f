"""SeaweedFS from PyPI: a real S3 server with authentication and checksums, on loopback ports of its own."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

BINARY = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
PORTS = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port",
         "filer.port.grpc", "s3.port", "s3.port.grpc")  # fmt: skip
ALL = ["Admin", "Read", "Write", "List", "Tagging"]


@contextmanager
def seaweedfs(folder: Path, users: dict[str, tuple[str, list[str]]]) -> Iterator[str]:
    """Endpoint of a server that keeps its data in `folder` for as long as the block lasts.

    `users`: access key to secret key and allowed actions.
    """
    identities = [
        {"name": key, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": actions}
        for key, (secret, actions) in users.items()
    ]
    (folder / "identities.json").write_text(json.dumps({"identities": identities}))
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command(folder, ports), stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_for(ports["s3.port"], process)
            yield f"http://127.0.0.1:{ports['s3.port']}"
        finally:
            process.kill()
            process.wait()
            Path(f"/tmp/seaweedfs-s3-grpc-{ports['s3.port.grpc']}.sock").unlink(missing_ok=True)


def command(folder: Path, ports: dict[str, int]) -> list[str]:
    """The command line of a server with everything on the loopback interface and nothing reported home."""
    options = {
        **ports,
        "dir": folder,
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "s3.ip.bind": "127.0.0.1",
        "s3.config": folder / "identities.json",
        "s3.localSocket": folder / "s3.sock",
        "filer.localSocket": folder / "filer.sock",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "master.volumeSizeLimitMB": 256,
        "volume.max": 40,
        "master.telemetry": "false",
    }
    given = [f"-{name}={value}" for name, value in options.items()]
    return [str(BINARY), f"-logdir={folder}", "server", "-filer", "-s3", *given]


def free_ports(n: int) -> list[int]:
    """Ports of the loopback interface that nobody listens on."""
    with ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(n)]
        for one in found:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in found]


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return when a port accepts connections. Raises RuntimeError for a server that has ended."""
    while process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"weed ended with {process.returncode}")
