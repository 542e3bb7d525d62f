"""Readouts for WorkspaceBench: JSON lines, one per document and position, the answers as samples."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from nla_ray.exports.place import Made
from nla_ray.exports.selection import Selection

LEFT_OUT = {
    "controls": "control <> 'real'",
    "failed": "outcome = 'failed'",
    "without a position or layer": "position IS NULL OR layer IS NULL",
}
"""An answer that was cut, loops or is empty is a sample like the others: without it a score flatters."""

_SQL = """
SELECT doc_id AS id, layer, position AS pos, any_value(token) AS token,
    list(coalesce(explanation, '') ORDER BY sample) AS samples
FROM picked
WHERE run_id = $run AND control = 'real' AND outcome <> 'failed'
    AND position IS NOT NULL AND layer IS NOT NULL
GROUP BY doc_id, layer, position, row_id
ORDER BY doc_id, position, row_id
"""


def readout_files(selection: Selection) -> Iterator[Made]:
    """A file per run; a run without such rows has none."""
    for run in selection.request.runs:
        lines = [
            json.dumps(_readout(row)) + "\n"
            for batch in selection.read(_SQL, run=run.run_id)
            for row in batch.to_pylist()
        ]
        if lines:
            yield Made(f"{run.run_id}.jsonl", "".join(lines).encode(), "readouts", len(lines))


def _readout(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}
