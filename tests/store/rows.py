"""Small plans and tables for the tests of the store."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
from pydantic import JsonValue

from nla_ray.store.runs.plan import Plan
from nla_ray.tables import ACTIVATIONS, DOCUMENTS, EXPLANATIONS, table_of

ROWS = 4
RECORD: dict[str, JsonValue] = {"baseline": {"value": 0.5, "reference": "test vectors"}}


def plan_of(run_id: str = "run1", units: int = 3, **facts: JsonValue) -> Plan:
    """Units u0, u1, ... of four rows each."""
    models: JsonValue = {"target": "t", "av": "a", "ar": None}
    return Plan(
        run_id=run_id,
        units={f"u{index}": ROWS for index in range(units)},
        facts={"seed": 7, "layer": 3, "models": models, **facts},
    )


def rows_of(unit_id: str, run_id: str = "run1", n: int = ROWS, says: str = "it is about tests") -> pa.Table:
    """The first `n` rows of a unit: the first failed, the second a control, the others real answers."""
    kinds = [("real", "failed"), ("random", "ok"), *[("real", "ok")] * (ROWS - 2)]
    made = [
        _row(run_id, unit_id, index, control=control, outcome=outcome, explanation=says)
        for index, (control, outcome) in enumerate(kinds[:n])
    ]
    return table_of(made, EXPLANATIONS)


def _row(run_id: str, unit_id: str, index: int, **values: object) -> Mapping[str, object]:
    fixed = {
        "run_id": run_id,
        "unit_id": unit_id,
        "row_id": f"{unit_id}-{index}",
        "doc_id": f"doc-{unit_id}",
        "position": index,
        "layer": 3,
        "sample": 0,
        "seed": 7,
        "flags": [],
        "finish_reason": "stop",
        "closed": True,
        "n_tokens": 5,
        "mse_nrm": 0.25,
        "target": "t",
        "av": "a",
        "provenance": "decoded",
    }
    return dict.fromkeys(EXPLANATIONS.names) | fixed | values


def sides_of(unit_id: str, run_id: str = "run1", text: str = "as the target saw it") -> dict[str, pa.Table]:
    """What a unit keeps beside: one document, which other units have too, and a vector for each row."""
    mine = {"run_id": run_id, "unit_id": unit_id, "doc_id": "doc-shared"}
    document = mine | {
        "source": "corpus.jsonl:1",
        "text": text,
        "token_ends": [2, 9],
        "roles": ["user", "template"],
        "response_start": None,
        "n_tokens": 2,
        "truncated": False,
        "left_out_before": 0,
        "left_out_after": 0,
        "flags": [],
    }
    vectors = [
        mine
        | {
            "row_id": f"{unit_id}-{index}",
            "n_raw_tokens": index + 1,
            "activation_layer": 3,
            "activation_vector": [float(index), 1.0],
        }
        for index in range(ROWS)
    ]
    return {"documents": table_of([document], DOCUMENTS), "activations": table_of(vectors, ACTIVATIONS)}
