"""How often known artefacts occur, by population and class of token: what verbalizers write of themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import duckdb

from nla_ray.audit.detect.scope import scope_sql
from nla_ray.audit.report.model import Denied
from nla_ray.config.detectors.model import Artefact, Scope

SEARCHED = "*"
"""Stands for no artefact: no id of a pack is spelled so."""
OF_TEMPLATE = "at special tokens"
"""Special tokens and what a chat template puts around messages."""


def denylist(
    connection: duckdb.DuckDBPyConnection, run_id: str, artefacts: Sequence[Artefact]
) -> Iterator[Denied]:
    """The searched rows of a run, then those that hold each artefact."""
    titles = {SEARCHED: "All rows that were searched"} | {one.id: one.title for one in artefacts}
    counted: dict[str, dict[str, int]] = {name: {} for name in titles}
    for name, part, n in connection.execute(_COUNTS, {"run": run_id}).fetchall():
        counted[name][part] = n
    for name, title in titles.items():
        yield Denied(id=name, title=title, rows=dict(sorted(counted[name].items())))


_COUNTS = f"""
WITH parts AS (
    SELECT row_id, sample, control || if({scope_sql(Scope())}, '', ' {OF_TEMPLATE}') AS part
    FROM population WHERE run_id = $run
)
SELECT '{SEARCHED}', part, count(*) FROM parts GROUP BY ALL
UNION ALL
SELECT artefact, part, count(*)
FROM parts JOIN (SELECT artefact, row_id, sample FROM artefacts WHERE run_id = $run) USING (row_id, sample)
GROUP BY ALL
"""
