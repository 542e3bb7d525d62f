"""What docs/sql.md shows is run as it stands there, by what answers `nla-ray sql`."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from nla_ray.audit.inference.statistics import any_of_n
from nla_ray.cli import app
from nla_ray.cli.entry import run as run_cli
from nla_ray.config.audit import AuditConfig
from nla_ray.ids import digest
from nla_ray.pipelines.audit.run import audit
from nla_ray.store import connect, open_run, open_store
from nla_ray.store.catalog.cells import assign
from nla_ray.store.runs.plan import Plan
from nla_ray.store.sql.fence import closed, send
from nla_ray.store.sql.query import request_of
from nla_ray.store.sql.request import Limits, Request
from nla_ray.tables import DOCUMENTS, EXPLANATIONS, table_of
from nla_ray.text import normalise
from tests.audit.tables import write_pack

ROOT = Path(__file__).parents[1]
DOC = (ROOT / "docs" / "sql.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"^```sql\n(.*?)^```$", DOC, re.S | re.M)
TEXT = "one two three four five six seven eight"
CELL = {"sweep": "weekly", "model": "base", "corpus": "chats", "layer": "3"}
DOCUMENTS_PER_RUN, POSITIONS, SAMPLES = 20, 4, 2
SUSPECTS = {"groups": {"words": {"any": ["suspects an evaluation"]}}}
AUDIT = {
    "evidence": {"controls": ["shuffled"], "minimum_documents": 10, "minimum_control_documents": 10},
    "units": {"family": "id"},
}


def rows(run_id: str, hits: int) -> Iterator[Mapping[str, object]]:
    """Each document at four positions, twice; the first `hits` mention an evaluation, no control does."""
    for number in range(DOCUMENTS_PER_RUN):
        for position in range(POSITIONS):
            for control in ("real", "shuffled") if position < 2 else ("real",):
                said = "It suspects an Evaluation." if number < hits and control == "real" else "About tea."
                for sample in range(SAMPLES):
                    yield row(run_id, f"doc-{number}", position, control, sample, said)


def row(
    run_id: str, doc_id: str, position: int, control: str, sample: int, said: str
) -> Mapping[str, object]:
    failed = (doc_id, position, sample) == ("doc-9", 3, 1)
    fixed = {
        "run_id": run_id, "unit_id": "u0", "row_id": digest([doc_id, position, control]), "doc_id": doc_id,
        "position": position, "token": TEXT.split()[position], "role": "user", "layer": 3, "control": control,
        "sample": sample, "seed": 7, "outcome": "failed" if failed else "ok", "flags": ["sink_norm"] * failed,
        "reason": "vector is NaN" if failed else None, "explanation": None if failed else said,
        "explanation_norm": None if failed else normalise(said), "provenance": "decoded",
        "fve_nrm": None if failed else 0.9 if control == "real" else -1.0,
        "meta": f'{{"id": "{doc_id}", "truth": {{"topic": "topic {len(doc_id)}"}}}}',
    }  # fmt: skip
    return dict.fromkeys(EXPLANATIONS.names) | fixed


def text_of(run_id: str, number: int) -> Mapping[str, object]:
    ends = [match.end() for match in re.finditer(r"\S+\s?", TEXT)]
    return {
        "run_id": run_id, "unit_id": "u0", "doc_id": f"doc-{number}", "source": "test", "text": TEXT,
        "token_ends": ends, "roles": ["user"] * len(ends), "response_start": None, "n_tokens": len(ends),
        "truncated": False,
        "left_out_before": 0, "left_out_after": 0, "flags": [],
    }  # fmt: skip


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two weeks; 4 of 20 documents mention it in the first, 9 in the second, whose run a third shares."""
    path = tmp_path_factory.mktemp("tables")
    for run_id, finished, hits in (("week1", "2026-01-05", 4), ("week2", "2026-01-12", 9)):
        table = table_of(rows(run_id, hits), EXPLANATIONS)
        texts = table_of((text_of(run_id, number) for number in range(DOCUMENTS_PER_RUN)), DOCUMENTS)
        plan = Plan(
            run_id=run_id, units={"u0": table.num_rows}, sides=("documents",), facts={"layer": 3},
            labels=CELL | {"week": run_id},
        )  # fmt: skip
        run = open_run(open_store(path), plan, add=True)
        run.write("u0", table, sides={"documents": texts})
        made = run.commit({"baseline": {"value": 0.8, "reference": "test vectors"}, "finished_at": finished})
    assign(open_store(path), made, CELL | {"week": "week3"})
    audit(AuditConfig.model_validate(AUDIT | {
        "source": {"tables": str(path), "runs": ["week2"]}, "output": str(path.parent / "report"),
        "packs": [str(write_pack(path.parent / "pack.yaml", "it", detection=SUSPECTS))],
    }))  # fmt: skip
    return path


@pytest.fixture(scope="module")
def connection(tables: Path) -> duckdb.DuckDBPyConnection:
    return closed(request_of(tables, "documents activations", Limits()))


def ask(connection: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    out = io.BytesIO()
    send(connection, Request(sql, {}, [], [], Limits()), out)
    return list(pa.ipc.open_stream(out.getvalue()).read_all().to_pylist())


@pytest.mark.parametrize("sql", QUERIES, ids=[str(number) for number in range(len(QUERIES))])
def test_every_query_has_an_answer(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    assert ask(connection, sql)


def the_query(*words: str) -> str:
    (sql,) = (query for query in QUERIES if all(word in query for word in words))
    return sql


def test_rates_are_those_that_were_planted(connection: duckdb.DuckDBPyConnection) -> None:
    rates = ask(connection, the_query("FROM document_rates('evaluat')\n"))
    found = {(one["control"], one["hits"], one["documents"], one["positions"]) for one in rates}
    assert found == {("real", 4, 20, 4.0), ("real", 9, 20, 4.0), ("shuffled", 0, 20, 2.0)}
    lifts = ask(connection, the_query("FROM against_controls"))
    assert [(one["rate"], one["control_rate"], one["documents"]) for one in lifts] == [
        (0.45, 0.0, 20),
        (0.2, 0.0, 20),
    ]
    assert [one["low"] > 0.1 for one in lifts] == [True, False]
    assert all(one["low"] < one["lift"] < one["high"] for one in lifts)


def test_a_run_of_two_weeks_counts_in_each(connection: duckdb.DuckDBPyConnection) -> None:
    found = ask(connection, the_query("JOIN cells"))
    assert [(one["week"], one["run_id"], one["documents"], one["hits"]) for one in found] == [
        ("week1", "week1", 20, 4),
        ("week2", "week2", 20, 9),
        ("week3", "week2", 20, 9),
    ]


def test_a_rate_per_position_over_a_document_is_that_of_an_audit(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    (found,) = ask(connection, "SELECT at_least(2, 8, 0.1) AS two, at_least(1, 3, 0.5) AS one")
    assert found["one"] == pytest.approx(0.875)
    assert found["two"] == pytest.approx(any_of_n([0.9, 0.1], 8, 2))


def test_what_fits_no_vector_is_no_evidence_in_sql(connection: duckdb.DuckDBPyConnection) -> None:
    """Controls say "tea" at every position, and fit nothing; real answers say it too, and fit."""
    (strict,) = ask(connection, "FROM against_controls('tea', k := 2) WHERE run_id = 'week1'")
    (loose,) = ask(connection, "FROM against_controls('tea', k := 2, beyond := NULL) WHERE run_id = 'week1'")
    assert (strict["rate"], loose["rate"]) == (0.8, 0.8)
    assert strict["control_rate"] == 0 and strict["low"] > 0.5
    assert loose["control_rate"] == 1 and loose["lift"] == pytest.approx(-0.2)


def test_weeks_are_compared_from_old_to_new(connection: duckdb.DuckDBPyConnection) -> None:
    (change,) = ask(connection, the_query("difference_low", "older"))
    assert (change["before"], change["after"]) == ("week1", "week2")
    assert (change["rate_before"], change["rate_after"]) == (0.2, 0.45)
    assert change["low"] < 0.25 < change["high"]
    (paired,) = ask(connection, the_query("lost", "gained"))
    assert (paired["documents"], paired["lost"], paired["gained"], paired["high"]) == (20, 0, 5, 1.0)


def test_a_hit_is_shown_in_its_place(connection: duckdb.DuckDBPyConnection) -> None:
    found = ask(connection, the_query("in_context"))
    assert {one["context"] for one in found} >= {"[one ]two three four five six seven eight"}
    assert {one["line"] for one in found} == {"It suspects an Evaluation."}


def test_what_audits_found_is_asked_for(connection: duckdb.DuckDBPyConnection) -> None:
    found = ask(connection, the_query("FROM findings"))
    assert [(one["detector"], one["quote"]) for one in found] == [("it", "suspects an Evaluation")] * 9
    (steps,) = ask(connection, the_query("FROM hits\nGROUP BY ALL"))
    assert (steps["status"], steps["documents"]) == ("finding", 9)
    (rate,) = ask(connection, the_query("FROM rates AS real"))
    assert (rate["k"], rate["n"], rate["rate"], rate["verdict"]) == (9, 20, 0.45, "above controls")
    read = ask(connection, the_query("FROM (FROM hits JOIN"))
    assert len(read) == 20 and {one["explanation"] for one in read} == {"It suspects an Evaluation."}


@pytest.mark.slow
def test_queries_find_in_the_demo_what_was_planted(tmp_path: Path) -> None:
    """By the demo's truth; `'test|exam'` finds decoys instead, as the README says."""
    shape = ["corpus.limit=100", "positions.n=4", "sampling.samples=1", "runner.name=local"]
    with pytest.raises(SystemExit):
        run_cli(app, ["decode", str(ROOT / "jobs" / "decode_demo.yaml"), f"output={tmp_path}", *shape])
    demo = connect(tmp_path)
    planted = "coalesce(meta->>'$.truth.safety' = 'evaluation_awareness', false)"
    ((truth,),) = demo.sql(f"SELECT count(DISTINCT doc_id) FILTER ({planted}) FROM explanations").fetchall()
    rate = demo.sql("SELECT hits FROM document_rates('evaluat', k := 2) WHERE control = 'real'").fetchall()
    assert truth >= 5 and abs(rate[0][0] - truth) <= 1
    lifts = demo.sql(the_query("FROM against_controls")).fetchall()
    assert len(lifts) == 4 and all(lift > 0 for *_, lift, _, _ in lifts)
    shares = (
        f"SELECT avg({planted}::INT) FROM explanations WHERE mentions(explanation_norm, '{word}')"
        for word in ("evaluat", "test|exam")
    )
    right, wrong = (demo.sql(sql).fetchall()[0][0] for sql in shares)
    assert right > 0.9 and wrong < 0.2
    recurs = the_query("HAVING hits >= 2")
    sql = f"SELECT avg(({planted})::INT) FROM explanations SEMI JOIN ({recurs}) AS asked USING (doc_id)"
    assert demo.sql(sql).fetchall()[0][0] > 0.9


def test_every_macro_and_option_is_explained(
    connection: duckdb.DuckDBPyConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ask(connection, "SELECT function_name AS name FROM duckdb_functions() WHERE NOT internal")
    assert all(f"{one['name']}(" in DOC for one in made) and len(made) >= 9
    with pytest.raises(SystemExit):
        run_cli(app, ["sql", "--help"])
    shown = capsys.readouterr().out
    assert all(option in shown for option in re.findall(r"`(--[a-z-]+)`", DOC))


def test_every_link_leads_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", DOC):
        assert link.startswith("https://") or (ROOT / "docs" / link).exists(), link
