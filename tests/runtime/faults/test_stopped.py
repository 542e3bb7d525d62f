"""Signals that end a driver: its own exit code, one line, within seconds, nothing half done."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from nla_ray.cli.entry import GRACE_S
from nla_ray.errors import Exit
from tests.decoded import runs_of, sound
from tests.runtime.faults.test_kill import demo, more_than
from tests.runtime.processes import family, gone, job

CASES = [
    ("local", signal.SIGHUP, Exit.HUNG_UP),
    ("local", signal.SIGINT, Exit.INTERRUPTED),
    ("local", signal.SIGTERM, Exit.TERMINATED),
    ("ray", signal.SIGTERM, Exit.TERMINATED),
]


@pytest.mark.slow
@pytest.mark.parametrize(("runner", "number", "code"), CASES, ids=lambda value: getattr(value, "name", value))
def test_a_signal_ends_a_driver_in_good_order(
    runner: str, number: signal.Signals, code: Exit, tmp_path: Path
) -> None:
    config = demo(tmp_path, runner)
    # A shell's background job ignores interrupts, one under nohup SIGHUP, and so would what it starts.
    before = {one: signal.signal(one, signal.default_int_handler) for one in (signal.SIGINT, signal.SIGHUP)}
    with job(config) as running:
        for one, handler in before.items():
            signal.signal(one, handler)
        more_than(tmp_path, 0, running)
        below, began = family(running.popen.pid), time.monotonic()
        running.popen.send_signal(number)
        assert running.ended() == code, running.said()
        assert time.monotonic() - began < 2 * GRACE_S
    gone(below)
    said = running.said().splitlines()
    assert said[-1] == (
        f"stopped; what is written stays in {tmp_path / 'tables'}; run the same command again to go on"
    )
    assert not any("Traceback" in line or "***" in line or line.startswith("@") for line in said), said
    events = [
        json.loads(line)
        for part in sorted((tmp_path / "tables" / "events").rglob("*.jsonl"))
        for line in part.read_text().splitlines()
    ]
    assert events[0]["event"] == "planned" and events[-1]["event"] == "interrupted"
    assert not (tmp_path / "tables" / "commits").exists()
    with job(config) as again:
        assert again.ended() == Exit.DONE, again.said()
    sound(tmp_path / "tables")
    assert len(runs_of(tmp_path / "tables")) == 1
