"""JSON of untrusted files is parsed to a depth that no stack decides, and stored as JSON and UTF-8 allow."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from nla_ray.corpus.transcripts.inspect.sample import resolved
from nla_ray.corpus.transcripts.values import DEEPEST, UnreadableError, json_lines, parsed, storable_json


def brackets(depth: int) -> str:
    return (
        '[{"a": ' * (depth // 2) + "[]" * (depth % 2) + ("1" if depth % 2 == 0 else "") + "}]" * (depth // 2)
    )


def walked(depth: int) -> Any:
    value = parsed(brackets(depth))
    return storable_json(resolved(value, {}.get))


@pytest.mark.parametrize("depth", [DEEPEST - 1, DEEPEST])
def test_the_deepest_that_is_read_can_be_walked_in_any_thread(depth: int) -> None:
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(walked, depth).result() == walked(depth)


@pytest.mark.parametrize("depth", [DEEPEST + 1, 966, 100_000])
def test_what_is_deeper_is_refused_in_the_same_words(depth: int) -> None:
    with pytest.raises(UnreadableError, match=f"^JSON nested deeper than {DEEPEST} levels$"):
        parsed(brackets(depth))


@pytest.mark.parametrize("text", ["", "{", "[1,]", "nul", b"\xff", "1" * 5000, b"\xff\xfe["])
def test_what_is_no_json(text: str | bytes) -> None:
    with pytest.raises(UnreadableError, match="not JSON"):
        parsed(text)


@pytest.mark.parametrize("text", ['\ufeff{"a": 1}'.encode(), '{"a": 1}'.encode("utf-16")])
def test_a_byte_order_mark_is_no_part_of_the_text(text: bytes) -> None:
    assert parsed(text) == {"a": 1}


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (float("nan"), None),
        ({"a": [float("-inf"), 1.5, True, None]}, {"a": [None, 1.5, True, None]}),
        ("\ud800x", "\ufffdx"),
        ("\U0001f6a3", "\U0001f6a3"),
        ({"\udfff": 1, 2: b"x"}, {"\ufffd": 1, "2": "b'x'"}),
    ],
)
def test_what_is_stored(value: Any, stored: Any) -> None:
    assert storable_json(value) == stored
    json.dumps(storable_json(value), allow_nan=False, ensure_ascii=False).encode()


def test_lines_have_their_numbers() -> None:
    found = list(json_lines(io.BytesIO(b'{"a": 1}\n\n  \n[\n2')))
    assert [number for number, _ in found] == [1, 4, 5]
    assert found[0][1] == {"a": 1} and isinstance(found[1][1], UnreadableError) and found[2][1] == 2
