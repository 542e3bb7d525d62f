"""What differs between two runs, and what is known of neither."""

from __future__ import annotations

import json

from nla_ray.audit.report.rates import NOT_KNOWN
from nla_ray.pages.data import Reference
from nla_ray.pipelines.audit.differences import MAY, differences
from tests.audit.reports import run


def test_equal_runs_differ_in_nothing_that_is_known() -> None:
    one = run()
    assert all(NOT_KNOWN in (found.before, found.after) for found in differences(one, one))


def test_another_layer_is_said_with_what_may_not_be_concluded() -> None:
    one = run()
    found = differences(one, one.model_copy(update={"layer": 7}))[0]
    assert (found.what, found.before, found.after) == ("layer", "3", "7") and "nothing follows" in found.so


def test_what_is_known_of_neither_is_said() -> None:
    unknown = Reference(ref=NOT_KNOWN)
    one = run().model_copy(update={"layer": None, "av": unknown, "target": unknown})
    found = {each.what: each for each in differences(one, one)}
    assert {"layer", "verbalizer", "target"} <= set(found)
    assert found["layer"].before == found["layer"].after == NOT_KNOWN and found["layer"].so.startswith(MAY)


def test_vectors_given_otherwise_are_said() -> None:
    one, other = (
        run().model_copy(update={"config": json.dumps({"models": {"av": "a", "injection": injection}})})
        for injection in (None, "add_matched@output:1")
    )
    found = {each.what: (each.before, each.after) for each in differences(one, other)}
    assert found["injection"] == ("as its files say", "add_matched@output:1")


def test_of_a_configuration_only_what_differs_is_told() -> None:
    one, other = (
        run().model_copy(
            update={"config": json.dumps({"positions": {"choose": "random", "n": n}, "seed": 0})}
        )
        for n in (10, 5)
    )
    found = {each.what: (each.before, each.after) for each in differences(one, other)}
    assert found["positions"] == ("positions.n 10", "positions.n 5") and "seed" not in found
