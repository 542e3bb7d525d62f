"""Intervals in answers: text in JSON, CSV and Parquet."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq

from tests.cli.conftest import Invoke, Job

SQL = "SELECT INTERVAL 1 DAY AS a, INTERVAL '14 month 90.5 second' AS b, NULL::INTERVAL AS c, 7 AS n"
ANSWER = {"a": "P0M1DT0S", "b": "P14M0DT90.5S", "c": None, "n": 7}


def test_an_interval_is_text(invoke: Invoke, job: Job, tmp_path: Path) -> None:
    assert invoke("decode", job.config, "controls={shuffled: 0, random: 0}").code == 0
    assert json.loads(invoke("sql", job.output, SQL, "--format", "json").out) == [ANSWER]
    assert invoke("sql", job.output, SQL, "-o", tmp_path / "a.parquet").code == 0
    assert pq.read_table(tmp_path / "a.parquet").to_pylist() == [ANSWER]
    assert invoke("sql", job.output, f"{SQL} WHERE false", "-o", tmp_path / "b.parquet").code == 0
    assert pq.read_schema(tmp_path / "b.parquet").names == list(ANSWER)
