"""Tokens of chat templates are told by their text where a file says nothing of them."""

from __future__ import annotations

import pytest

from nla_ray.imports.entries import entry_of
from nla_ray.imports.formats.records import Record
from nla_ray.imports.template import Headers

S, T = "special_token", "template_token"


def flags(tokens: list[str | None], positions: list[int] | None = None) -> list[str | None]:
    headers = Headers()
    records = [
        Record(at, {"explanation": "A cat.", "pos": position, "token": token})
        for at, (token, position) in enumerate(zip(tokens, positions or range(len(tokens)), strict=True))
    ]
    return [headers.flag(entry_of(record)) for record in records]


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (["<|im_start|>", "user", "\n", "Hi", "<|im_end|>", "\n", "user"], [S, T, T, None, S, T, None]),
        (["<bos>", "<start_of_turn>", "model", "\n", "model"], [S, S, T, T, None]),
        (["<|start_header_id|>", "assistant", "<|end_header_id|>", "\n\n", "\n"], [S, T, S, T, None]),
        (["<s>", "[INST]", " user", "[/INST]"], [S, S, None, S]),
        (["user", "<b>", "<|", "a<|im_end|>", None], [None, None, None, None, None]),
    ],
)
def test_tokens(tokens: list[str | None], expected: list[str | None]) -> None:
    assert flags(tokens) == expected


def test_only_neighbours_tell() -> None:
    assert flags(["<|im_start|>", "user"], [3, 9]) == [S, None]
    assert flags(["<|im_start|>", "<|im_start|>", "user", "user"], [3, 3, 4, 4]) == [S, S, T, T]
