"""`ray job submit` against a cluster with the job server, which writes to S3."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.decoded import rows_of, same_rows, sound
from tests.runtime.conftest import Make
from tests.runtime.processes import PATIENCE_S, ROOT, Process, environment, family, gone
from tests.store.conftest import bucket, s3, s3_endpoint  # noqa: F401 (fixtures)
from tests.store.seaweed import free_ports

pytest.importorskip("aiohttp_cors", reason="the job server needs ray[default]")

RAY = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
COMMAND = shutil.which("ray", path=str(Path(sys.executable).parent)) or "ray"


@contextmanager
def head(log: Path) -> Iterator[str]:
    """Address of the job server of a cluster of two cores on this machine, which ends with the block."""
    port, dashboard, agent, client = free_ports(4)
    command = [
        COMMAND, "start", "--head", "--block", "--node-ip-address=127.0.0.1", "--num-cpus=2",
        f"--port={port}", f"--dashboard-port={dashboard}", "--dashboard-host=127.0.0.1",
        f"--dashboard-agent-listen-port={agent}", f"--ray-client-server-port={client}",
        f"--object-store-memory={300 << 20}", "--include-dashboard=true", "--disable-usage-stats",
    ]  # fmt: skip
    below: list[Process] = []
    with (
        log.open("wb") as out,
        subprocess.Popen(command, env=os.environ | environment() | RAY, stdout=out, stderr=out) as popen,
    ):
        try:
            answers(dashboard, popen, log)
            yield f"http://127.0.0.1:{dashboard}"
        finally:
            below = family(popen.pid)
            popen.send_signal(signal.SIGTERM)
            try:
                popen.wait(60)
            finally:
                popen.kill()
                for one in below:
                    if one.alive():
                        os.kill(one.pid, signal.SIGKILL)
    gone(below)


def answers(port: int, popen: subprocess.Popen[bytes], log: Path) -> None:
    """Return once the job server accepts connections."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end and popen.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    pytest.fail(f"no job server came\n{log.read_text(errors='replace')}")


def submitted(address: str, config: Path) -> subprocess.CompletedProcess[str]:
    """A submitted decode that has ended."""
    command = [COMMAND, "job", "submit", f"--address={address}", "--",
               sys.executable, str(ROOT / "jobs" / "decode_corpus.py"), "--config", str(config)]  # fmt: skip
    return subprocess.run(
        command,
        env=os.environ | environment() | RAY,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.mark.slow
def test_a_submitted_job_runs_on_the_cluster_that_it_is_in(make: Make, tmp_path: Path, s3: str) -> None:  # noqa: F811
    from nla_ray.pipelines.decode.run import decode

    config, reference = make("fused").model_copy(update={"output": s3}), make("local", "reference")
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    with head(tmp_path / "head.log") as address:
        first = submitted(address, path)
        assert first.returncode == 0 and "succeeded" in first.stdout, first.stdout + first.stderr
        sound(s3)
        path.write_text(yaml.safe_dump(config.model_dump(mode="json") | {"seed": 1}))
        refused = submitted(address, path)
        assert refused.returncode == 1 and "holds another plan" in refused.stdout, refused.stdout
    decode(reference)
    same_rows(rows_of(s3), rows_of(reference.output), within=1e-5)
