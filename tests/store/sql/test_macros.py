"""Macros give the numbers of the books."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from nla_ray.audit.detect.restated import prompt
from nla_ray.audit.detect.scope import scope_sql
from nla_ray.config.detectors.model import Scope
from nla_ray.store import connect, open_run, open_store
from tests.store.rows import RECORD, plan_of, rows_of


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    path: Path = tmp_path_factory.mktemp("tables")
    run = open_run(open_store(path), plan_of())
    for unit_id in run.missing():
        table = rows_of(unit_id)
        index = table.schema.get_field_index("explanation_norm")
        run.write(unit_id, table.set_column(index, table.schema.field(index), table["explanation"]))
    run.commit(RECORD)
    return connect(path)


def value(connection: duckdb.DuckDBPyConnection, sql: str, *values: object) -> object:
    (row,) = connection.execute(f"SELECT {sql}", list(values)).fetchall()
    return row[0]


@pytest.mark.parametrize(
    ("text", "pattern", "found"),
    [
        ("about refusal", "refus(e|al)", True),
        ("about refusal", "REFUSAL", True),
        ("about refusal", r"\brefus\b", False),
        ("one\ntwo", "one.two", False),
        ("one\ntwo", "(?s)one.two", True),
        ("", "x", False),
        (None, "x", None),
    ],
)
def test_mentions(
    connection: duckdb.DuckDBPyConnection, text: str | None, pattern: str, found: bool | None
) -> None:
    assert value(connection, "mentions($1, $2)", text, pattern) is found


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        (0, 0, 0.0, 1.0),
        (0, 1, 0.0, 0.793450),
        (1, 1, 0.206549, 1.0),
        (0, 10, 0.0, 0.277533),
        (10, 10, 0.722467, 1.0),
        (0, 1000, 0.0, 0.003827),
        (45, 50, 0.786398, 0.956524),
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson(connection: duckdb.DuckDBPyConnection, k: int, n: int, low: float, high: float) -> None:
    """The last four are those of Newcombe, Stat. Med. 17 (1998) 857, method 3."""
    assert value(connection, "wilson_low($1, $2)", k, n) == pytest.approx(low, abs=5e-5)
    assert value(connection, "wilson_high($1, $2)", k, n) == pytest.approx(high, abs=5e-5)


@pytest.mark.parametrize(("k", "n"), [(2, 1), (-1, 5)])
def test_wilson_of_what_cannot_be(connection: duckdb.DuckDBPyConnection, k: int, n: int) -> None:
    with pytest.raises(duckdb.Error, match="k is not between 0 and n"):
        value(connection, "wilson_low($1, $2)", k, n)


@pytest.mark.parametrize(
    ("k1", "n1", "k2", "n2", "low", "high"),
    [
        (56, 70, 48, 80, 0.0524, 0.3339),
        (9, 10, 3, 10, 0.1705, 0.8090),
        (10, 10, 0, 20, 0.6791, 1.0),
        (10, 10, 0, 10, 0.6075, 1.0),
        (0, 0, 5, 10, -1.0, 1.0),
        (5, 10, 0, 0, -1.0, 1.0),
    ],
)
def test_the_difference_of_two_rates(
    connection: duckdb.DuckDBPyConnection, k1: int, n1: int, k2: int, n2: int, low: float, high: float
) -> None:
    """The examples are those of Newcombe's table II, method 10."""
    found = [
        value(connection, f"difference_{end}($1, $2, $3, $4)", k1, n1, k2, n2) for end in ("low", "high")
    ]
    assert found == pytest.approx([low, high], abs=1e-4)


@pytest.mark.parametrize(
    ("pattern", "k", "found"), [("tests", 3, True), ("tests", 4, False), ("x", 1, False)]
)
def test_recurs_counts_positions(
    connection: duckdb.DuckDBPyConnection, pattern: str, k: int, found: bool
) -> None:
    """Each document of these tables has three positions with text about its own vector."""
    sql = "bool_and(recurs(doc_id, $1, $2)) FROM (SELECT DISTINCT doc_id FROM explanations)"
    assert value(connection, sql, pattern, k) is found


@pytest.mark.parametrize(
    ("position", "width", "context"),
    [(0, 3, "[hé]🎉 w"), (1, 1, "é[🎉] "), (2, 40, "hé🎉[ wörld]"), (3, 4, None), (9, 4, None)],
)
def test_a_token_in_its_context(
    connection: duckdb.DuckDBPyConnection, position: int, width: int, context: str | None
) -> None:
    sql = "in_context($1, $2, $3, $4)"
    assert value(connection, sql, "hé🎉 wörld", [2, 3, 9], position, width) == context


def test_bytes_of_one_character_all_stand_for_it(connection: duckdb.DuckDBPyConnection) -> None:
    ends = [1, 2, 2, 2, 4]
    found = [value(connection, "in_context($1, $2, $3, 1)", "a鯨 x", ends, at) for at in range(len(ends))]
    assert found == ["[a]鯨", *["a[鯨] "] * 3, "鯨[ x]"]


@pytest.mark.parametrize(
    ("roles", "start", "position", "said"),
    [
        (None, None, 2, "one two three "),
        ([None, None, None, None], 2, 3, "one two "),
        (["user", "assistant", "user", "thinking"], None, 3, "one three "),
        (["assistant"] * 4, None, 3, ""),
        (None, 0, 3, ""),
    ],
)
def test_the_prompt_is_a_text_without_what_the_model_wrote(
    connection: duckdb.DuckDBPyConnection,
    roles: list[str | None] | None,
    start: int | None,
    position: int,
    said: str,
) -> None:
    text, ends = "one two three four", [4, 8, 14, 18]
    sql = "coalesce(prompt_until($1, $2, $3::VARCHAR[], $4::INTEGER, $5), '')"
    assert value(connection, sql, text, ends, roles, start, position) == said
    whole, every = prompt(text, ends, roles, start)
    assert whole[: every[position]] == said


def test_template_tokens_are_those_that_audits_leave_out(connection: duckdb.DuckDBPyConnection) -> None:
    rows = """
        (['special_token'], 'word'), (['template_token'], NULL), (NULL, NULL), ([], ' word'),
        (NULL, '<|im_end|>'), ([], '</s>'), ([], '[INST]'), ([], '[EOS]'),
        ([], '[12]'), ([], '<end_of_turn>'), (['cjk'], '<b>')
    """
    found = connection.execute(
        f"SELECT of_template(flags, token), NOT ({scope_sql(Scope())}) "
        f"FROM (VALUES {rows}) AS given (flags, token)"
    ).fetchall()
    assert [one for one, _ in found] == [other for _, other in found]
    assert sum(one for one, _ in found) == 7


def test_every_macro_has_a_comment(connection: duckdb.DuckDBPyConnection) -> None:
    found = connection.execute(
        "SELECT function_name, comment FROM duckdb_functions() WHERE NOT internal"
    ).fetchall()
    assert len(found) == 15 and all(comment for _, comment in found)
