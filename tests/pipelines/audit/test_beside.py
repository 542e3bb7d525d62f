"""Benign documents beside audited ones: pairs by a column; a column that does not pair is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nla_ray.audit.tally import tally
from nla_ray.config.audit import Evidence, Marked, Units
from nla_ray.errors import InputError
from nla_ray.pipelines.audit.audited import Opened
from nla_ray.pipelines.audit.run import Searched, beside_of
from tests.audit.planted import RUN, connection_of, corpus, detector, never

ONE = detector("sabotage")
PAIRED = Units(benign_pair="of")


def searched(meta: Callable[[int], str], units: Units = PAIRED) -> Searched:
    """Forty documents; those from 20 on are marked as benign."""
    made = connection_of(corpus(40, never, {}, places=2), meta)
    benign = Marked(column="kind", value="benign")
    return Searched(Opened("", made, {RUN: ""}), tally(made, [ONE], Evidence(), benign, units), {})


def of_twenty(doc: int) -> str:
    return f'{{"kind": "{"benign" if doc >= 20 else "real"}", "of": "{doc % 20}"}}'


def test_a_benign_document_stands_beside_the_one_that_it_was_made_from() -> None:
    beside = beside_of(searched(of_twenty), RUN, None, [ONE], PAIRED)
    assert beside is not None and beside.matched.paired and len(beside.matched.before) == 20
    benign, real = (
        side.pair[at].tolist()
        for side, at in ((beside.benign, beside.matched.before), (beside.real, beside.matched.after))
    )
    assert benign == real


def test_without_a_column_they_are_two_samples() -> None:
    found = searched(of_twenty, Units())
    beside = beside_of(found, RUN, None, [ONE], Units())
    assert beside is not None and not beside.matched.paired


def test_a_column_that_names_several_is_one_line() -> None:
    found = searched(lambda doc: f'{{"kind": "{"benign" if doc >= 20 else "real"}", "of": "all"}}')
    with pytest.raises(InputError, match=r"units\.benign_pair: 20 benign documents have 'all' in 'of'"):
        beside_of(found, RUN, None, [ONE], PAIRED)
