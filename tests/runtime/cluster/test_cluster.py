"""Clusters that do not answer or refuse: one line, and nothing is written; and what a private one says."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.cli.conftest import Job, job  # noqa: F401 (fixture)
from tests.runtime import processes


@pytest.mark.slow
def test_a_cluster_that_is_named_and_not_there(job: Job) -> None:  # noqa: F811
    refused(job, "127.0.0.1:1", "runner.address=127.0.0.1:1")


@pytest.mark.slow
def test_the_cluster_of_the_environment(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:nowhere")
    refused(job, "127.0.0.1:nowhere")


def refused(decode: Job, address: str, *overrides: str) -> None:
    """Assert that a job on Ray ends with one line that names the address."""
    with processes.job(decode.config, "runner.name=ray", *overrides) as running:
        assert running.ended() == 8, running.said()
    (line,) = [line for line in running.said().splitlines() if line.startswith("error: ")]
    assert f"runner.address: no Ray cluster answers at {address}" in line and "`local`" in line
    assert "Traceback" not in running.said() and not decode.output.exists()


PRIVATE = """
import sys, time
import ray
from nla_ray.config.runner import Runner
from nla_ray.runtime.cluster import connected
with connected(Runner(name="ray", address="local"), cpus=1, say=lambda said: print(said, flush=True)):
    print(ray.get_runtime_context().gcs_address, flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow
@pytest.mark.parametrize("mode", [{"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_MODE": "token"}])
def test_a_private_cluster_says_where_it_listens_and_wants_its_token(
    mode: dict[str, str],
    job: Job,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    command, pipe = [sys.executable, "-c", PRIVATE], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=kept) as private:
        try:
            assert private.stdout is not None
            said, address = private.stdout.readline(), private.stdout.readline().strip()
            assert "takes nothing without the job's token" in said
            assert f":{address.rpartition(':')[2]}" in said.partition("listens on ")[2]
            for name, value in (mode | {"RAY_AUTH_TOKEN": "f" * 64}).items():
                monkeypatch.setenv(name, value)
            with processes.job(job.config, "runner.name=ray", f"runner.address={address}") as running:
                assert running.ended() == 2, running.said()
            (line,) = running.said().splitlines()[-1:]
            assert f"the cluster at {address} refuses this job's token" in line
            assert f"RAY_AUTH_MODE is {mode['RAY_AUTH_MODE']}" in line and "f" * 64 not in running.said()
            assert "InvalidAuthToken" not in running.said() and "Traceback" not in running.said()
        finally:
            private.communicate("")
