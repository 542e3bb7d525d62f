"""Parts of a corpus that cannot be read are left out by name, not averaged in."""

from __future__ import annotations

import dataclasses

from nla_ray.audit.documents.parts import leave_out
from nla_ray.config.audit import Gates
from tests.audit.planted import RUN, Row, connection_of, corpus, never


def by_role(poor: float, n: int = 40) -> list[Row]:
    """Half of the positions are the user's, of another fidelity."""
    return [
        dataclasses.replace(row, role="user", fve=poor if row.control == "real" else row.fve)
        if row.place % 2
        else row
        for row in corpus(n, never, {"random": never})
    ]


def test_a_role_that_surely_misses_the_gate_is_left_out() -> None:
    made = connection_of(by_role(0.1))
    parts = leave_out(made, Gates())[RUN]
    assert {(one.kind, one.name, one.left_out) for one in parts} == {
        ("role", "assistant", False), ("role", "user", True),
    }  # fmt: skip
    left = made.execute("SELECT DISTINCT role, control FROM population ORDER BY ALL").fetchall()
    assert left == [("assistant", "random"), ("assistant", "real")]


def test_where_every_part_misses_it_the_gate_of_the_whole_speaks() -> None:
    made = connection_of([dataclasses.replace(row, fve=0.1) for row in corpus(40, never, {})])
    assert [one.left_out for one in leave_out(made, Gates())[RUN]] == [False]
    assert made.execute("SELECT count(*) FROM population").fetchall() == [(320,)]


def test_special_tokens_are_no_part_of_a_fidelity() -> None:
    """Elsewhere they are left out too: a source that is read well is not left out because of them."""
    made = connection_of(by_role(0.1))
    made.execute("UPDATE all_explanations SET token = '<|im_end|>' WHERE role = 'user'")
    assert [(one.name, one.left_out) for one in leave_out(made, Gates())[RUN]] == [("assistant", False)]


def test_of_few_documents_nothing_is_said() -> None:
    (_, user) = leave_out(connection_of(by_role(0.1, n=5)), Gates())[RUN]
    assert (user.name, user.left_out, user.fve_high) == ("user", False, None)
