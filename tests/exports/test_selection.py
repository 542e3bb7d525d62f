"""Which rows are taken: committed ones, of the runs and the condition that were asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from nla_ray.errors import InputError
from nla_ray.exports.record import Choice
from nla_ray.exports.selection import Selection, chosen_runs, require_condition, selected
from nla_ray.tables import SCHEMAS


def ids(selection: Selection, table: str) -> list[tuple[str, str]]:
    rows = [row for batch in selection.table(table) for row in batch.to_pylist()]
    return [(row["run_id"], row["row_id"] if "row_id" in row else row["doc_id"]) for row in rows]


def test_rows_are_sorted_typed_and_have_their_fve(tables: Path) -> None:
    with selected(str(tables), Choice(format="parquet")) as selection:
        (batch,) = selection.table("explanations")
    assert batch.schema.equals(SCHEMAS["explanations"], check_metadata=True)
    order = list(zip(*(batch[name].to_pylist() for name in ("run_id", "doc_id", "position")), strict=True))
    assert order == sorted(order) and {run_id for run_id, _, _ in order} == {"first", "second"}
    assert set(batch["fve_nrm"].to_pylist()) == {0.5}


def test_a_condition_takes_what_belongs_to_its_rows(tables: Path) -> None:
    where = "position = 3 AND unit_id = 'u0' AND run_id IN (SELECT run_id FROM runs WHERE rows = 4)"
    with selected(str(tables), Choice(format="parquet", where=where, activations=True)) as selection:
        assert selection.request.tables == ("explanations", "activations")
        assert ids(selection, "explanations") == ids(selection, "activations") == [("second", "u0-3")]


def test_runs_are_found_by_id_and_beginning(tables: Path) -> None:
    assert chosen_runs(str(tables), ["sec", "first"]) == ["second", "first"]
    with selected(str(tables), Choice(format="csv", runs=("second",))) as selection:
        assert {run_id for run_id, _ in ids(selection, "documents")} == {"second"}


@pytest.mark.parametrize(
    "where",
    [
        "nosuch > 1",
        "true) UNION ALL (FROM explanations",
        "true; DROP VIEW runs",
        "true ORDER BY 1",
        "sum(cos) > 1",
        "explanation",
        "position",
        "cos > 0, cos < 1",
        "error('no')",
        "EXISTS (FROM read_text('/etc/hostname'))",
        "EXISTS (FROM query('FROM read_text(''/etc/hostname'')'))",
        "EXISTS (WITH x AS (COPY runs TO '/tmp/x') FROM x)",
        "EXISTS (FROM '{tables}/explanations/run_id=first/unit=u0.parquet')",
        "(cos > 0",
        " ",
        "\x00",
        "\ud800",
    ],
)
def test_what_is_no_condition_is_refused(tables: Path, where: str) -> None:
    with pytest.raises(InputError, match=r"^--where: .*condition"):
        require_condition(where.replace("{tables}", str(tables)))


def test_what_fails_on_a_row_is_one_line(tables: Path) -> None:
    where = "doc_id::INTEGER > 1"
    require_condition(where)
    with (
        pytest.raises(InputError, match=r"cannot read the rows: .*doc-u"),
        selected(str(tables), Choice(format="csv", where=where)),
    ):
        pass
