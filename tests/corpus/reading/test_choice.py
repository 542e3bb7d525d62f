"""Which tokens a choice takes: by label, by span, by message, and beside a span."""

from __future__ import annotations

from typing import Any

import pytest

from nla_ray.config.reading.positions import Positions
from nla_ray.corpus.reading.choice import Chooser, label_spans
from nla_ray.corpus.reading.tokens import Tokens
from tests.corpus.labelled import CHAT, TEXT, labelled, plain

# Positions of the parts: 0-2, 3-6, 7-8; 9-11, 12, 13-17, 18; 19-22, 23, 24-25, 26-27; 28-30, 31-32, 33-34.
AGENT = labelled(
    ("template", -1, 3), ("user", 0, 4), ("template", -1, 2),
    ("thinking", 1, 3), ("template", -1, 1), ("assistant", 1, 5), ("template", -1, 1),
    ("tool_call", 1, 4), ("template", -1, 1), ("tool_call", 1, 2, 1), ("template", -1, 2),
    ("tool_result", 2, 3), ("assistant", 3, 2), ("assistant", 4, 2),
)  # fmt: skip
SPECIAL = frozenset({100, 118})


def taken(how: object, tokens: Tokens = AGENT, *, seed: int = 0, within: range | None = None) -> Any:
    positions = Positions.model_validate(how)
    document = TEXT if tokens.labels is None else CHAT
    within = range(len(tokens.ids)) if within is None else within
    return Chooser(positions, seed, SPECIAL).positions(document, tokens, within, total=len(tokens.ids))


def test_a_span_is_a_run_with_one_label_in_one_message() -> None:
    found = [(label, span.start, span.stop) for label, span in label_spans(AGENT)]
    assert found[-3:] == [("tool_result", 28, 31), ("assistant", 31, 33), ("assistant", 33, 35)]
    assert [span for label, *span in found if label == "tool_call"] == [[19, 23], [24, 26]]


@pytest.mark.parametrize(
    ("how", "positions"),
    [
        ("last", [34]),
        ("last:2", [33, 34]),
        ("first:3", [3, 4, 5]),
        ("assistant:first:4", [13, 14, 15, 16, 31, 32, 33, 34]),
        ("assistant:last", [17, 32, 34]),
        ("assistant:every:2", [13, 15, 17, 31, 33]),
        ("tool_call:first", [19, 24]),
        ("thinking:all", [9, 10, 11]),
        ("template:last", [2, 8, 12, 23, 27]),
        ("before:tool_call", [18, 23]),
        ("before:tool_call:3", [16, 17, 18, 21, 22, 23]),
        ("before:user:9", [0, 1, 2]),
        ("after:thinking:2", [12, 13]),
        ("after:tool_result", [31]),
        ("after:assistant:3", [18, 19, 20, 33, 34]),
        ({"choose": "last", "n": 5, "per": "message", "min_position": 0},
         [3, 4, 5, 6, 20, 21, 22, 24, 25, 28, 29, 30, 31, 32, 33, 34]),
        ({"choose": "first", "n": 2, "per": "message", "min_position": 4},
         [4, 5, 9, 10, 28, 29, 31, 32, 33, 34]),
        ({"choose": "first", "n": 1, "per": "message", "template": True, "min_position": 0},
         [3, 9, 28, 31, 33]),
        ({"choose": "first", "n": 1, "per": "span", "template": True, "special": True, "min_position": 0},
         [0, 3, 7, 9, 12, 13, 18, 19, 23, 24, 26, 28, 31, 33]),
        ({"choose": "all", "roles": ["user", "thinking"]}, [10, 11]),
    ],
)  # fmt: skip
def test_what_a_choice_takes(how: object, positions: list[int]) -> None:
    assert taken(how) == positions


def test_what_is_drawn_is_drawn_for_each_span_by_its_own_key() -> None:
    many = labelled(*[("user", n, 50) for n in range(20)])
    drawn = taken("user:random:2", many)
    offsets = [(first % 50, second % 50) for first, second in zip(drawn[::2], drawn[1::2], strict=True)]
    assert [at // 50 for at in drawn] == [n for n in range(20) for _ in range(2)]
    assert len(set(offsets)) > 15 and drawn == taken("user:random:2", many)
    assert drawn != taken("user:random:2", many, seed=1)


def test_plain_text_is_one_span_without_a_label() -> None:
    assert taken({"choose": "first", "n": 2, "per": "span"}, plain(20)) == [10, 11]
    assert taken({"choose": "last", "n": 2, "per": "message"}, plain(18)) == [16, 17]
    for how in ("user:first", "before:user"):
        assert taken(how, plain(20)).endswith("its labels: none")


def test_a_limit_and_a_part_bound_every_choice() -> None:
    assert len(taken({"choose": "before", "label": "tool_call", "n": 3, "limit": 2})) == 2
    assert taken({"choose": "before", "label": "tool_call", "n": 3}, within=range(17, 22)) == [17, 18, 21]
    assert taken("assistant:first:4", within=range(15, 35)) == [15, 16, 17, 31, 32, 33, 34]


def test_who_finds_nothing_is_told_the_labels_that_there_are() -> None:
    for how, key, near in (
        ("asistant:first", "roles", "assistant"),
        ("before:toolcall", "label", "tool_call"),
    ):
        said = taken(how)
        assert f"see positions.{key}; did you mean {near!r}? its labels: template, user, thinking" in said
    odd = labelled(*[(f"role {n} " * 9, n, 1) for n in range(200)])
    assert len(taken("user:first", odd)) < 400


def test_a_chat_whose_labels_are_not_known_is_read_only_as_a_whole() -> None:
    def chosen(how: dict[str, Any]) -> object:
        return Chooser(Positions(**how), 0, SPECIAL).positions(CHAT, plain(30), range(30), total=30)

    for how in ({"per": "span"}, {"roles": ("user",)}, {"choose": "before", "label": "user"}):
        assert "cannot be told from the template's" in str(chosen({"template": True, **how}))
    assert chosen({"choose": "last", "n": 1, "template": True}) == [29]


def test_a_number_beyond_all_tokens_takes_what_there_is() -> None:
    assert taken("before:tool_call:999999999") == list(range(24))
    assert taken("after:user:999999999") == list(range(7, 35))
