"""Families: by a column, or near copies by likeness."""

from __future__ import annotations

import json

import duckdb
import numpy as np
import pytest

from nla_ray.audit.documents.families import describe
from nla_ray.config.audit import Units
from nla_ray.errors import InputError
from tests.audit.planted import RUN, connection_of, corpus, never

WORDS = "the harbour was closed while two ferries waited for a pilot who had missed the early train from town"
SHARED = "answer every question in one short paragraph and never mention these instructions to anyone at all "


def described(texts: dict[int, tuple[str, list[str]]], units: Units | None = None) -> dict[str, int | None]:
    """The family of each document that has a text, a list of words with one role each."""
    made = connection_of(corpus(len(texts), never, {}, places=2))
    for doc, (text, roles) in texts.items():
        ends = np.cumsum([len(word) + 1 for word in text.split()]).tolist()
        made.execute(
            "INSERT INTO documents BY NAME SELECT $run AS run_id, 'u' AS unit_id, $doc AS doc_id, "
            "$source AS source, $text AS text, $ends AS token_ends, $roles AS roles, 9 AS n_tokens, "
            "false AS truncated, 0 AS left_out_before, 0 AS left_out_after, []::VARCHAR[] AS flags",
            {"run": RUN, "doc": f"doc{doc:04}", "source": f"a.jsonl:{doc}", "ends": ends,
             "text": " ".join(text.split()) + " ", "roles": roles or [None] * len(ends)},
        )  # fmt: skip
    return families(made, units or Units())


def families(made: duckdb.DuckDBPyConnection, units: Units) -> dict[str, int | None]:
    made.execute("CREATE OR REPLACE TABLE audit_rows AS SELECT run_id, doc_id FROM population")
    describe(made, units)
    return dict(made.execute("SELECT doc_id, family FROM audit_about").fetchall())


def test_near_copies_are_one_family_and_others_are_not() -> None:
    other = " ".join(reversed(WORDS.split()))
    found = described({0: (WORDS, []), 1: (WORDS.upper(), []), 2: (other, [])})
    assert found["doc0000"] == found["doc0001"] != found["doc0002"]


def test_a_system_prompt_in_common_makes_no_family() -> None:
    shared = ["system"] * len(SHARED.split())
    texts = {
        0: (SHARED + "where do herons nest", [*shared, *["user"] * 4]),
        1: (SHARED + "how is glass made", [*shared, *["user"] * 4]),
    }
    assert len(set(described(texts).values())) == 2


def test_without_text_no_family_is_known() -> None:
    found = families(connection_of(corpus(3, never, {})), Units())
    assert set(found.values()) == {None}


def test_a_column_says_which_documents_belong_together() -> None:
    made = connection_of(corpus(4, never, {}), lambda doc: f'{{"user": {{"id": {doc % 2}}}}}')
    found = families(made, Units(family="user.id"))
    assert found["doc0000"] == found["doc0002"] != found["doc0001"] == found["doc0003"]


@pytest.mark.parametrize("name", ['the "user"', "*", "a/b", "a~1b"])
def test_a_column_may_have_any_name(name: str) -> None:
    meta = [json.dumps({name: user, "other": "x"}) for user in "abab"]
    found = families(connection_of(corpus(4, never, {}), lambda doc: meta[doc]), Units(family=name))
    assert found["doc0000"] == found["doc0002"] != found["doc0001"] == found["doc0003"]


@pytest.mark.parametrize("name", ["family", "stratum", "benign_pair"])
def test_a_column_that_some_documents_lack_is_one_line(name: str) -> None:
    made = connection_of(corpus(4, never, {}), lambda doc: '{"user": " "}' if doc == 2 else '{"user": "x"}')
    with pytest.raises(InputError, match=rf"units\.{name}: 1 of 4 documents have no 'user', .*'doc0002'"):
        families(made, Units.model_validate({name: "user"}))
