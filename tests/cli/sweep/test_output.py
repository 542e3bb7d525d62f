"""What a sweep prints while it works: a line at every change, and a sign of life in between."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from nla_ray.cli import output as shared
from nla_ray.cli.sweep import output


def test_the_last_line_is_said_again_while_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "PLAIN_INTERVAL_S", 0.01)
    said = io.StringIO()
    with output.Lines(Console(file=said, width=200)) as lines:
        lines("base.L2.notes: auditing")
        while said.getvalue().count("auditing") < 3:
            time.sleep(0.01)
    ended = said.getvalue()
    assert all(line.endswith("Z base.L2.notes: auditing") for line in ended.splitlines())
