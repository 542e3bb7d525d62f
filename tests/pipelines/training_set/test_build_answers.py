"""Training sets from endpoints that answer without words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nla_ray.errors import InputError
from nla_ray.pipelines.training_set.build import build_training_set
from tests.chat_server import explains, served
from tests.training_sets import config, text, write_corpus

Target = Callable[[str], Path]


@pytest.mark.usefixtures("soon")
def test_answers_without_words_are_dropped_counted_and_not_kept(tmp_path: Path, checkpoint: Target) -> None:
    write_corpus(tmp_path, [text(number) for number in range(16)])
    silent: dict[str, Any] = {"message": {"content": None, "reasoning_content": "so"}}
    with served(lambda asked: (200, silent) if len(asked) % 3 == 0 else explains(asked)) as server:
        made = build_training_set(config(tmp_path, checkpoint("qwen2"), server.url)).set
        in_vain = sum(len(body["messages"][1]["content"]) % 3 == 0 for body in server.seen)
        asked = len(server.seen)
    assert in_vain and made.explaining.dropped == {"nothing but reasoning": in_vain // 3}
    assert made.explaining.requests == asked and made.explaining.tokens == 100 * asked
    assert len(list(tmp_path.glob("set/work/answers/*/*.json"))) == made.explaining.explained


def test_blank_answers_of_another_set_are_asked_for_again_and_told(
    tmp_path: Path, checkpoint: Target
) -> None:
    answers, texts = {"answers": str(tmp_path / "answers")}, [text(number) for number in range(16)]
    with served(explains) as server:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            write_corpus(tmp_path / name, texts)
            made = build_training_set(config(tmp_path / name, checkpoint("qwen2"), server.url, **answers))
            if name == "one":
                assert not made.warnings
                for kept in sorted(tmp_path.glob("answers/answers/*/*.json"))[:3]:
                    kept.write_text(json.dumps(json.loads(kept.read_text()) | {"raw": " "}))
    assert made.set.explaining.requests == 3 and made.set.explaining.dropped == {}
    assert made.warnings == ("3 kept answers were blank or nothing but reasoning; they were asked for again",)


@pytest.mark.usefixtures("soon")
def test_an_endpoint_that_never_says_a_word_ends_the_build_in_one_line(
    tmp_path: Path, checkpoint: Target
) -> None:
    write_corpus(tmp_path, [text(number) for number in range(16)])
    with served(lambda asked: (200, {"message": {"content": ""}, "finish_reason": "length"})) as server:
        settings = config(tmp_path, checkpoint("qwen2"), server.url)
        with pytest.raises(
            InputError, match=r"no answer: cut off before it began; allow more tokens, .* none of the first 5"
        ):
            build_training_set(settings)
        assert 5 <= len(server.seen) <= 5 + 4
    assert not list(tmp_path.glob("set/work/answers/*/*.json"))
