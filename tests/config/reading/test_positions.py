"""Positions by keys or as one string, and the window: each form means one thing, the rest is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from nla_ray.config.decode import DecodeConfig
from nla_ray.config.evaluate import EvaluateConfig
from nla_ray.config.loading.load import load
from nla_ray.config.reading.positions import FORMS, Positions
from nla_ray.errors import ConfigError

VALUES: dict[str, Any] = {
    "output": "out",
    "models": {"target": "owner/target", "av": "owner/av"},
    "corpus": {"paths": ["a.jsonl"], "messages": "messages"},
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(VALUES))
    return path


def of_spans(label: str, **keys: Any) -> dict[str, Any]:
    return {"per": "span", "roles": [label], "min_position": 0, **keys}


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("last", {"choose": "last", "n": 1, "min_position": 0}),
        ("last:3", {"choose": "last", "n": 3, "min_position": 0}),
        ("first:8", {"choose": "first", "n": 8, "min_position": 0}),
        ("all", {"choose": "all", "min_position": 0}),
        ("random", {}),
        ("random:4", {"n": 4}),
        ("every:7", {"choose": "every", "n": 7}),
        ("assistant:first:4", of_spans("assistant", choose="first", n=4)),
        ("assistant:last", of_spans("assistant", choose="last", n=1)),
        ("thinking:all", of_spans("thinking", choose="all")),
        ("tool_call:random:2", of_spans("tool_call", n=2)),
        ("user:every", of_spans("user", choose="every")),
        ("my-own.role:last:2", of_spans("my-own.role", choose="last", n=2)),
        ("before:tool_call:1", {"choose": "before", "label": "tool_call", "n": 1}),
        ("after:user", {"choose": "after", "label": "user", "n": 1}),
    ],
)
def test_a_string_stands_for_keys(file: Path, text: str, keys: dict[str, Any]) -> None:
    by_keys, by_text = Positions.model_validate(keys), Positions.model_validate(text)
    assert by_text == by_keys
    assert load(DecodeConfig, file, [f"positions={text}"]).positions == by_keys
    whole = [DecodeConfig.model_validate(VALUES | {"positions": one}) for one in (keys, text)]
    assert whole[0].fingerprint() == whole[1].fingerprint()
    for config in (DecodeConfig, EvaluateConfig):
        schema = config.model_json_schema(by_alias=True)
        Draft202012Validator(schema).validate(VALUES | {"positions": text})
        Draft202012Validator(schema).validate(VALUES | {"positions": keys})


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("lats:3", "last:3"),
        ("asistant:frist:4", "assistant:first:4"),
        ("befor:tool_cal:1", "before:tool_call:1"),
        ("toolcall:al", "tool_call:all"),
        ("", None),
        ("all:3", None),
        ("last:three", None),
        ("last:-1", None),
        ("first:4:assistant", None),
        ("before", None),
        ("before:", None),
        (":first", None),
        ("the user:first", "user:first"),
        ("last:99999999999999999999", None),
        ("last:3\n", None),
    ],
)
def test_a_string_that_means_nothing_is_refused_with_what_would(
    file: Path, text: str, near: str | None
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(DecodeConfig, file, [f"positions={yaml.safe_dump(text)}"])
    said = str(caught.value)
    assert said.startswith("override ") and FORMS in said
    assert (f"did you mean {near!r}?" in said) if near else ("did you mean" not in said)


@pytest.mark.parametrize(
    "keys",
    [
        "last:0",
        {"choose": "before"},
        {"label": "user"},
        {"choose": "after", "label": "user", "per": "span"},
        {"choose": "before", "label": "user", "roles": ["assistant"]},
        {"choose": "column", "column": "at", "regex": "x"},
        {"choose": "first", "per": "token"},
        ["last"],
        3,
    ],
)
def test_keys_that_do_not_go_together_are_refused(keys: object) -> None:
    with pytest.raises(ValidationError):
        Positions.model_validate(keys)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"corpus": {"window": {"tokens": 5000}}}, "5000 tokens are more than max_tokens, 4096"),
        ({"corpus": {"window": {"tokens": 1}}}, "greater than or equal to 2"),
        ({"corpus": {"window": {"tokens": 50}}, "continuation": {}}, "corpus.window"),
        (
            {"corpus": {"window": {"tokens": 50}}, "positions": {"choose": "column", "column": "at"}},
            "corpus.window",
        ),
        (
            {"corpus": {"messages": None, "vectors": {}, "window": {"tokens": 50}}},
            "window: vectors that were extracted before have none",
        ),
    ],
)
def test_a_window_that_cannot_be_kept_is_refused(change: dict[str, Any], words: str) -> None:
    corpus = VALUES["corpus"] | change["corpus"]
    with pytest.raises(ValidationError, match=words):
        DecodeConfig.model_validate(VALUES | change | {"corpus": corpus})


def test_a_window_changes_the_fingerprint() -> None:
    def fingerprint(window: object) -> str:
        corpus = VALUES["corpus"] | {"window": window}
        return DecodeConfig.model_validate(VALUES | {"corpus": corpus}).fingerprint()

    windows = (None, {"tokens": 50}, {"tokens": 60}, {"tokens": 50, "around": "start"})
    assert len(set(map(fingerprint, windows))) == len(windows)
