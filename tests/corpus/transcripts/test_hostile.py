"""Whatever stands in whichever field: a transcript or a problem in words, and metadata that can be stored."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nla_ray.corpus.transcripts.kinds import Kind
from tests.corpus.transcripts import test_atif
from tests.corpus.transcripts.claude import test_sessions
from tests.corpus.transcripts.inspect_made import HEADER, chunked_log, plain_log, sample
from tests.corpus.transcripts.made import lines, read


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


VALUES = (
    None,
    0,
    -1,
    1e400,
    True,
    "",
    "\ud800",
    "x",
    [],
    {},
    [1],
    [[1, [2]]],
    {"a": {"b": None}},
    10**400,
    nested(150),
)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each object or list in the value with each of its keys."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in list(keys):
        yield value, key
        yield from places(value[key])


def atif() -> Any:
    return test_atif.trajectory(
        test_atif.USER, test_atif.BOTH, subagent_trajectories=[test_atif.trajectory()]
    )


def session() -> Any:
    last = test_sessions.user("u2", "a2", "x", isSidechain=True, agentId="a")
    return [*test_sessions.PARALLEL, last]


CASES: list[tuple[Kind, Callable[[], Any], Callable[[Any], bytes]]] = [
    ("inspect-eval", sample, lambda one: plain_log({**one, "id": 1, "epoch": 1})),
    ("inspect-eval", lambda: HEADER, lambda header: plain_log(sample(), header=header)),
    ("inspect-json", lambda: {**HEADER, "samples": [sample(), 7]}, lambda log: json.dumps(log).encode()),
    ("atif", atif, lines),
    ("claude-code", session, lambda rows: lines(*rows)),
]


@pytest.mark.parametrize(("kind", "made", "written"), CASES)
def test_any_value_in_any_field(kind: Kind, made: Callable[[], Any], written: Callable[[Any], bytes]) -> None:
    value = json.loads(json.dumps(made()))
    for holder, key in list(places(value)):
        kept = holder[key]
        for wrong in VALUES:
            holder[key] = wrong
            if kind == "inspect-json" and not isinstance(value.get("samples"), list):
                continue
            for one in read(written(value), kind):
                assert (one.chat is None) == bool(one.problem)
                assert f"{one.key}{one.problem}".encode()
                json.dumps(dict(one.meta), allow_nan=False, ensure_ascii=False).encode()
        holder[key] = kept


@pytest.mark.parametrize("apart", ["events", "messages", "attachments"])
@pytest.mark.parametrize("wrong", VALUES)
def test_any_value_in_a_chunk(apart: str, wrong: Any) -> None:
    one = sample()
    content = chunked_log(
        {**one, apart: [wrong] * 5} if apart != "attachments" else {**one, apart: {"0": wrong}}
    )
    (found,) = read(content, "inspect-eval")
    assert (found.chat is None) == bool(found.problem)
