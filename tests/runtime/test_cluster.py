"""Clusters that do not answer: one line, and nothing is written."""

from __future__ import annotations

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
        assert running.ended() == 2, running.said()
    (line,) = [line for line in running.said().splitlines() if line.startswith("error: ")]
    assert f"runner.address: no Ray cluster answers at {address}" in line and "`local`" in line
    assert "Traceback" not in running.said() and not decode.output.exists()
