"""What is to be hidden: matches of RE2, and what a user's function finds."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from nla_ray.config.reading.redaction import Redact
from nla_ray.corpus.redaction.find import Finder, RedactionError, settled
from nla_ray.errors import ConfigError

KEY = r"sk-[A-Za-z0-9]{8}"


def test_every_match_of_every_pattern_is_hidden() -> None:
    finder = Finder(Redact(patterns=(KEY, "abc", "bcdef"), replacement="#"))
    assert finder.hidden("a sk-12345678, sk-abcdEFGH\nabcdef é abc") == "a #, #\n# é #"
    assert finder.spans("é abc 🙂 abc") == [(2, 5), (8, 11)]
    assert finder.hidden("") == ""


def test_marks_that_a_text_holds_itself_are_told_apart() -> None:
    text = "\ue000abc\ue001\ue002"
    assert Finder(Redact(patterns=("abc",), replacement="#")).hidden(text) == "\ue000#\ue001\ue002"


def test_no_pattern_is_slow() -> None:
    started = time.perf_counter()
    Finder(Redact(patterns=("(?:a+)+b",))).spans("a" * 200_000)
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "patterns or a function"),
        ({"patterns": ["("]}, "RE2 refuses"),
        ({"patterns": ["x*"]}, "empty text"),
        ({"patterns": [r"(a)\1"]}, "RE2 refuses"),
        ({"function": "no_colon"}, "function"),
        ({"patterns": ["a"], "function_sha256": "0" * 64}, "there is no function"),
    ],
)
def test_what_hides_nothing_or_cannot_is_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Redact.model_validate(values)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module of a user's that hides names, and goes wrong when asked to."""
    file = tmp_path / "hide_names.py"
    file.write_text(
        "def names(text):\n"
        "    if 'wrong' in text:\n"
        "        raise ValueError(text)\n"
        "    if 'outside' in text:\n"
        "        return [(0, 10_000)]\n"
        "    return [(at, at + 3) for at in range(len(text)) if text.startswith('Ada', at)]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield file
    sys.modules.pop("hide_names", None)


def test_a_function_says_what_is_hidden(module: Path) -> None:
    config = settled(Redact(function="hide_names:names", replacement="#"))
    assert config is not None and config.function_sha256 is not None
    assert Finder(config).hidden("Ada and Ada") == "# and #"


@pytest.mark.parametrize("text", ["wrong secret", "outside secret"])
def test_a_function_that_fails_says_nothing_of_the_text(module: Path, text: str) -> None:
    with pytest.raises(RedactionError, match="hide_names:names") as raised:
        Finder(Redact(function="hide_names:names")).hidden(text)
    assert "secret" not in str(raised.value) and raised.value.__cause__ is None


def test_a_function_that_is_another_one_or_none_is_refused(module: Path) -> None:
    with pytest.raises(ConfigError, match="another one here"):
        Finder(Redact(function="hide_names:names", function_sha256="0" * 64))
    for name in ("hide_names:nobody", "no_such_module:names", "sys:exit"):
        with pytest.raises(ConfigError, match="cannot be used"):
            settled(Redact(function=name))
