"""From committed tables to hits: keys, quotes, scope, artefacts, restatement, other kinds of detectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from nla_ray.audit.detect.hits import find_hits
from nla_ray.audit.detect.others import Helpers, asking
from nla_ray.audit.detect.restated import prompt
from nla_ray.audit.detect.spans import original_span
from nla_ray.config.detectors.model import Artefact, Detection, Detector, Group, Pack, Scope, Similarity
from nla_ray.config.detectors.packs import Packs
from nla_ray.errors import ConfigError, InputError
from nla_ray.store import connect, open_run, open_store
from nla_ray.store.runs.plan import Plan
from nla_ray.tables import DOCUMENTS, EXPLANATIONS, table_of
from nla_ray.text import normalise

TEXT = "hello moon and the tide is high"
TOKEN_ENDS = [5, 10, 14, 18, 23, 26, 31]


def row(at: int, said: str | None, **values: Any) -> dict[str, Any]:
    fixed = {
        "run_id": "run", "unit_id": "u", "row_id": f"row-{at}", "doc_id": "doc", "position": at, "sample": 0,
        "control": "real", "outcome": "ok", "flags": [], "provenance": "decoded", "mse_nrm": 0.25, "layer": 3,
        "explanation": said, "explanation_norm": None if said is None else normalise(said),
    }  # fmt: skip
    return dict.fromkeys(EXPLANATIONS.names) | fixed | values


def tables(
    folder: Path, rows: Sequence[dict[str, Any]], *, text: str | None = TEXT, **document_values: Any
) -> duckdb.DuckDBPyConnection:
    facts: dict[str, Any] = {"models": {"target": "t", "av": "a", "ar": "r"}}
    plan = Plan(
        run_id="run", units={"u": len(rows)}, facts=facts, sides=() if text is None else ("documents",)
    )
    run = open_run(open_store(folder), plan)
    document = dict.fromkeys(DOCUMENTS.names) | {
        "run_id": "run", "unit_id": "u", "doc_id": "doc", "source": "x:1", "text": text,
        "token_ends": TOKEN_ENDS, "n_tokens": 7, "truncated": False,
        "left_out_before": 0, "left_out_after": 0, "flags": [],
    } | document_values  # fmt: skip
    sides = {} if text is None else {"documents": table_of([document], DOCUMENTS)}
    run.write("u", table_of(rows, EXPLANATIONS), sides=sides)
    run.commit({"baseline": {"value": 0.5, "reference": "test"}})
    return connect(folder)


def detector(**values: Any) -> Detector:
    base = {"id": "tides", "title": "t", "description": "d", "level": "low", "tier": "weak"}
    if not {"sql", "similarity"} & values.keys():
        base["detection"] = Detection(groups={"g": Group(any=("tides?",))})  # type: ignore[assignment]
    return Detector.model_validate(base | values)


def packs(*detectors: Detector, artefacts: Sequence[Artefact] = ()) -> Packs:
    return Packs(
        packs=(Pack(id="p", title="t", description="d", detectors=detectors, artefacts=tuple(artefacts)),)
    )


def hits(connection: duckdb.DuckDBPyConnection, columns: str) -> list[tuple[Any, ...]]:
    return connection.execute(f"SELECT {columns} FROM hits ORDER BY row_id, sample").fetchall()


def test_hits_carry_keys_and_quotes(tmp_path: Path) -> None:
    rows = [
        row(0, "Of Tides."), row(1, None, outcome="failed"), row(2, "Nothing."),
        row(3, "The tide", control="random", role="user", token=" the"),
    ]  # fmt: skip
    connection = tables(tmp_path, rows)
    find_hits(connection, packs(detector()))
    assert hits(
        connection, "run_id, detector, row_id, control, position, role, token, fve_nrm, span, span_start"
    ) == [
        ("run", "tides", "row-0", "real", 0, None, None, 0.5, "Tides", 3),
        ("run", "tides", "row-3", "random", 3, "user", " the", 0.5, "tide", 4),
    ]
    assert connection.execute("SELECT row_id FROM population ORDER BY ALL").fetchall() == [
        ("row-0",), ("row-2",), ("row-3",),
    ]  # fmt: skip
    find_hits(connection, packs(detector()), ["another"])
    assert hits(connection, "*") == []


def test_quotes_are_those_of_the_text_as_it_was_written(tmp_path: Path) -> None:
    said = [
        "… ﬁrst the ＴＩＤＥ comes", "Straße… TIDE", "t\u200bi\u200bde here", "…tide tide",
        "İ tide", "contide… tide",
    ]  # fmt: skip
    connection = tables(tmp_path, [row(at, text) for at, text in enumerate(said)])
    find_hits(connection, packs(detector()))
    found = hits(connection, "span, span_start")
    assert found == [
        ("ＴＩＤＥ", 12 - 1),
        ("TIDE", 8),
        ("t\u200bi\u200bde", 0),
        ("tide", 1),
        ("tide", 2),
        ("tide", 9),
    ]
    for text, (span, start) in zip(said, found, strict=True):
        assert text[start : start + len(span)] == span


def test_a_place_that_is_not_certain_is_not_given() -> None:
    assert original_span("abc", 1, 1) == (1, 2)
    assert original_span("e\u0301x", 1, 1) == (2, 3)
    assert original_span("\u1100\u1161x tide", 2, 4) is None


def test_long_matches_are_cut(tmp_path: Path) -> None:
    long = detector(detection=Detection(groups={"g": Group(any=("tide.*",))}))
    connection = tables(tmp_path, [row(0, "tide " + "x" * 500)])
    find_hits(connection, packs(long))
    assert hits(connection, "length(span)") == [(200,)]


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (Scope(roles=("user",)), [1]),
        (Scope(tokens=("word",)), [1]),
        (Scope(tokens=("number", "punctuation")), [2, 3]),
        (Scope(tokens=("special",)), [4, 6]),
        (Scope(tokens=("space",)), [5]),
        (Scope(without_flags=("special_token",)), [0, 1, 2, 3, 5]),
        (Scope(), [0, 1, 2, 3, 5]),
    ],
)
def test_scope(tmp_path: Path, scope: Scope, expected: list[int]) -> None:
    rows = [
        row(0, "tide"), row(1, "tide", role="user", token=" the"), row(2, "tide", token="12"),
        row(3, "tide", token="?!"), row(4, "tide", token="<x>", flags=["special_token"]),
        row(5, "tide", token=" \n"), row(6, "tide", token="<|im_end|>"),
        row(7, "tide", token="user", flags=["template_token"]),
    ]  # fmt: skip
    connection = tables(tmp_path, rows)
    find_hits(connection, packs(detector(scope=scope)))
    assert [position for (position,) in hits(connection, "position")] == expected


def test_hits_inside_of_artefacts_are_marked(tmp_path: Path) -> None:
    boilerplate = Artefact(
        id="boilerplate", title="t", description="d", group=Group(any=("time and tide wait for no one",))
    )
    said = ["Time and tide wait for no one", "Time and tide wait for no one. A tide", "The tide"]
    connection = tables(tmp_path, [row(at, text) for at, text in enumerate(said)])
    find_hits(connection, packs(detector(), artefacts=[boilerplate]))
    assert hits(connection, "artefact, span_start") == [(True, 9), (False, 33), (False, 4)]
    assert connection.execute("SELECT artefact, row_id FROM artefacts ORDER BY ALL").fetchall() == [
        ("boilerplate", "row-0"), ("boilerplate", "row-1"),
    ]  # fmt: skip


def test_what_the_document_has_said_by_then_is_restated(tmp_path: Path) -> None:
    connection = tables(tmp_path, [row(at, "tide") for at in range(8)])
    find_hits(connection, packs(detector()))
    assert hits(connection, "position, restated") == [
        (0, False), (1, False), (2, False), (3, False), (4, True), (5, True), (6, True), (7, None),
    ]  # fmt: skip


USER, MODEL = ["user"], ["assistant"]


@pytest.mark.parametrize(
    ("values", "restated"),
    [
        ({"roles": USER * 2 + ["template"] + MODEL * 4}, [False] * 7),
        ({"roles": USER * 2 + ["thinking", "tool_call"] * 2 + MODEL}, [False] * 7),
        ({"roles": ["tool_result"] * 7}, [False] * 4 + [True] * 3),
        ({"roles": MODEL * 4 + USER * 3}, [False] * 4 + [True] * 3),
        ({"roles": MODEL * 2 + USER * 3 + MODEL * 2}, [False] * 4 + [True] * 3),
        ({"roles": [None] * 7}, [False] * 4 + [True] * 3),
        ({"roles": USER * 4 + MODEL * 3, "response_start": 4}, [False] * 7),
        ({"response_start": 4}, [False] * 7),
        ({"response_start": 5}, [False] * 4 + [True] * 3),
    ],
)
def test_what_the_model_wrote_itself_is_no_restatement(
    tmp_path: Path, values: dict[str, Any], restated: list[bool]
) -> None:
    connection = tables(tmp_path, [row(at, "tide") for at in range(7)], **values)
    find_hits(connection, packs(detector()))
    assert [found for (found,) in hits(connection, "restated")] == restated


def test_a_prompt_keeps_the_places_of_its_tokens() -> None:
    roles = ["template", "user", "user", "assistant", "template", "assistant", "user"]
    said, ends = prompt(TEXT, TOKEN_ENDS, roles, None)
    assert said == "hello moon and tide high"
    assert [said[:end] for end in ends] == [
        "hello", "hello moon", "hello moon and", "hello moon and", "hello moon and tide",
        "hello moon and tide", "hello moon and tide high",
    ]  # fmt: skip
    assert prompt(TEXT, TOKEN_ENDS, None, None) == (TEXT, TOKEN_ENDS)


@pytest.mark.parametrize("text", [None, "ＨＥＬＬＯ moon and the ＴＩＤＥ is high", "ﬁ sh"])
def test_restatement_without_text_and_with_other_letters(tmp_path: Path, text: str | None) -> None:
    connection = tables(tmp_path, [row(3, "tide"), row(4, "tide"), row(9, "tide", position=None)], text=text)
    find_hits(connection, packs(detector()))
    expected = {None: [None, None, None], "ﬁ sh": [False, False, None]}.get(text, [False, True, None])
    assert [restated for (restated,) in hits(connection, "restated")] == expected


def test_an_analysts_sql_is_a_detector(tmp_path: Path) -> None:
    connection = tables(tmp_path, [row(0, "the moon"), row(1, "the sun"), row(2, None, outcome="failed")])
    sql = "SELECT run_id, row_id, sample, 'moon' AS span FROM all_explanations"
    find_hits(connection, packs(detector(sql=sql)), helpers=Helpers(ask=asking(tmp_path)))
    assert hits(connection, "row_id, span, span_start, restated") == [
        ("row-0", "moon", 4, None), ("row-1", "the sun", 0, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT run_id, row_id FROM explanations", "sample is missing"),
        ("SELECT run_id, row_id, 'x' AS sample FROM explanations", "other types"),
        ("DROP TABLE hits", "detector tides: .*SELECT"),
        ("SELECT * FROM read_csv('/etc/passwd')", "sql"),
    ],
)
def test_other_sql_is_refused(tmp_path: Path, sql: str, words: str) -> None:
    connection = tables(tmp_path, [row(0, "the moon")])
    with pytest.raises(InputError, match=words):
        find_hits(connection, packs(detector(sql=sql)), helpers=Helpers(ask=asking(tmp_path)))


def by_letters(texts: Sequence[str]) -> np.ndarray:
    """An embedding that counts letters."""
    return np.array([[text.lower().count(chr(97 + at)) for at in range(26)] for text in texts], np.float32)


def test_nearness_to_sentences_is_a_detector(tmp_path: Path) -> None:
    connection = tables(tmp_path, [row(0, "A poem. The tide is high!"), row(1, "Zzz."), row(2, "...")])
    near = detector(similarity=Similarity(sentences=("the tide is high",), minimum_cosine=0.95))
    find_hits(connection, packs(near), helpers=Helpers(embed=by_letters))
    assert hits(connection, "row_id, span, span_start") == [("row-0", "The tide is high!", 8)]


@pytest.mark.parametrize(
    "values",
    [{"sql": "SELECT 1"}, {"similarity": {"sentences": ["x"]}}, {"question": {"question": "Is it?"}}],
)
def test_a_missing_helper_is_named(tmp_path: Path, values: dict[str, Any]) -> None:
    connection = tables(tmp_path, [row(0, "the tide")])
    with pytest.raises(ConfigError, match=r"detector tides: kind .* needs"):
        find_hits(connection, packs(detector(**values)))


def test_no_detectors_and_no_rows(tmp_path: Path) -> None:
    connection = tables(tmp_path, [row(0, None, outcome="failed")])
    find_hits(connection, packs())
    assert hits(connection, "*") == []
    find_hits(connection, packs(detector()))
    assert hits(connection, "*") == []


def test_text_in_a_pattern_is_never_sql(tmp_path: Path) -> None:
    odd = detector(detection=Detection(groups={"g": Group(any=("it's '; drop",))}))
    connection = tables(tmp_path, [row(0, "and it’s '; DROP table")])
    find_hits(connection, packs(odd))
    assert hits(connection, "span") == [("it’s '; DROP",)]
