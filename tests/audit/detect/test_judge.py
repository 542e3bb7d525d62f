"""A language model as judge, held against a real server on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nla_ray.audit.detect.hits import find_hits
from nla_ray.audit.detect.judge import UNCLEAR, Judge, Judgement, judged, parsed
from nla_ray.audit.detect.others import Helpers
from nla_ray.config.detectors.judge import JudgeConfig
from nla_ray.errors import ConfigError, InputError
from tests.audit.detect.test_hits import detector, hits, packs, row, tables
from tests.chat_server import Said, Server, served

pytestmark = pytest.mark.usefixtures("soon")


def judge(server: Server, folder: Path, **values: Any) -> Judge:
    base = {"base_url": server.url, "model": "m", "cache": folder / "cache", "timeout_s": 5.0}
    return Judge(JudgeConfig.model_validate(base | values))


def says(verdict: str, evidence: str = "") -> tuple[int, str]:
    return 200, json.dumps({"verdict": verdict, "evidence": evidence})


def test_answers_come_in_order_and_are_asked_for_once(tmp_path: Path) -> None:
    texts = [f"the tide {number}" for number in range(12)]

    def answer(asked: str) -> tuple[int, str]:
        said = json.loads(asked)["text"]
        return says("YES", said) if said[-1] in "02468" else says("NO")

    with served(answer) as server:
        first = judged(judge(server, tmp_path, concurrency=3), "Tides?", texts)
        assert len(server.seen) == 12 and server.most_at_once <= 3
        again = judge(server, tmp_path, max_requests=0)
        assert judged(again, "Tides?", texts) == first and len(server.seen) == 12
        assert judged(again, "Another question?", texts) == [UNCLEAR] * 12
    assert [one.verdict for one in first] == ["YES", "NO"] * 6
    assert server.seen[0]["max_tokens"] == 200 and server.keys[0] is None


def test_the_budget_ends_the_asking(tmp_path: Path) -> None:
    with served(lambda asked: says("NO")) as server:
        found = judged(
            judge(server, tmp_path, max_requests=3), "Tides?", [str(number) for number in range(9)]
        )
        assert len(server.seen) == 3
    assert sorted(one.verdict for one in found) == ["NO"] * 3 + ["UNCLEAR"] * 6


def test_a_busy_server_is_asked_again_and_counted(tmp_path: Path) -> None:
    answers = iter([(503, ""), (429, ""), says("NO")])
    with served(lambda asked: next(answers)) as server:
        one = judge(server, tmp_path, max_requests=10)
        assert one.ask("Tides?", "the tide").verdict == "NO"
        assert one.requests_left == 7


@pytest.mark.parametrize(("status", "words"), [(401, "401"), (302, "302"), (500, "status 500")])
def test_a_refusal_ends_it(tmp_path: Path, status: int, words: str) -> None:
    with served(lambda asked: (status, ""), headers={"Location": "/elsewhere"}) as server:
        with pytest.raises(InputError, match=words):
            judge(server, tmp_path).ask("Tides?", "the tide")
        assert len(server.seen) == (3 if status == 500 else 1)


def test_no_words_are_no_verdict_and_never_kept(tmp_path: Path) -> None:
    silent = {"content": None, "reasoning_content": "so"}
    drafts = '<think>{"verdict": "YES", "evidence": "tide"}</think>{"verdict": "NO"}'
    answers = {"the tide": (200, drafts), "the moon": (200, {"message": silent}), "the sun": (400, "")}
    with served(lambda asked: answers[json.loads(asked)["text"]]) as server:
        one = judge(server, tmp_path)
        assert judged(one, "Tides?", list(answers)) == [Judgement("NO"), UNCLEAR, UNCLEAR]
        assert one.unread == {"nothing but reasoning": 1, "refused by the endpoint (status 400)": 1}
        assert len(server.seen) == 5 and len(list((tmp_path / "cache").iterdir())) == 1
        server.answer = lambda asked: says("NO")
        again = judge(server, tmp_path)
        assert judged(again, "Tides?", list(answers)) == [Judgement("NO")] * 3 and len(server.seen) == 7
        assert not again.unread and not again.asked_again


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"message": {"content": ""}}, "none of the first 5 requests had an answer"),
        ("Yes, it does.", r"none of the first 5 answers is the JSON that is asked for, .* 'Yes, it does.'"),
    ],
)
def test_a_judge_that_judges_nothing_ends_it(tmp_path: Path, said: Said, words: str) -> None:
    with served(lambda asked: (200, said)) as server:
        one = judge(server, tmp_path, attempts=1, concurrency=1)
        with pytest.raises(InputError, match=words):
            judged(one, "Tides?", [str(number) for number in range(9)])
        assert len(server.seen) == 5 and sum(one.unread.values()) == 4


def test_kept_answers_of_before_that_may_be_empty_are_asked_for_again(tmp_path: Path) -> None:
    texts = ["the tide", "the moon"]
    with served(lambda asked: says("NO")) as server:
        judged(judge(server, tmp_path), "Tides?", texts)
        for path in (tmp_path / "cache").iterdir():
            path.write_text('{"verdict": "UNCLEAR", "evidence": ""}')
        again = judge(server, tmp_path)
        assert judged(again, "Tides?", texts) == [Judgement("NO")] * 2
        assert again.asked_again == 2 and len(server.seen) == 4
        for path in (tmp_path / "cache").iterdir():
            path.write_text('{"verdict": "NO", "evidence": ""}')
        assert judged(judge(server, tmp_path), "Tides?", texts) == [Judgement("NO")] * 2
        assert len(server.seen) == 4


def test_nobody_there(tmp_path: Path) -> None:
    with served(lambda asked: says("NO")) as server:
        pass
    with pytest.raises(InputError, match="no answer"):
        judge(server, tmp_path).ask("Tides?", "the tide")


def test_the_key_is_read_from_the_named_variable_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(lambda asked: says("NO")) as server:
        with pytest.raises(ConfigError, match="JUDGE_KEY is not set"):
            judge(server, tmp_path, key_env="JUDGE_KEY")
        monkeypatch.setenv("JUDGE_KEY", "secret")
        one = judge(server, tmp_path, key_env="JUDGE_KEY")
        one.ask("Tides?", "the tide")
        assert server.keys == ["Bearer secret"]
    kept = "".join(path.read_text() for path in (tmp_path / "cache").iterdir())
    assert "secret" not in kept + one.config.canonical()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ('{"verdict": "YES", "evidence": "tide"}', Judgement("YES", "tide")),
        ('Sure: {"verdict": "NO"} ', Judgement("NO")),
        ('{"verdict": "NO", "evidence": "tide"}', Judgement("NO")),
        ('{"verdict": "YES", "evidence": "tides"}', UNCLEAR),
        ('{"verdict": "YES", "evidence": " "}', UNCLEAR),
        ('{"verdict": "YES"}', UNCLEAR),
        ('{"verdict": "UNCLEAR"}', UNCLEAR),
        ('<think>{"verdict": "YES", "evidence": "tide"}</think> {"verdict": "NO"}', Judgement("NO")),
        ('so {"verdict": "YES", "evidence": "tide"}</think> {"verdict": "NO"}', Judgement("NO")),
        ('<think>{"verdict": "YES", "evidence": "tide"}', None),
        ('{"verdict": "MAYBE"}', None),
        ('{"verdict": "YES", "evidence": ["tide"]}', None),
        ("YES", None),
        ("", None),
        ("[" * 5000, None),
        ("{" + '"a":{' * 5000 + "}", None),
    ],
)
def test_only_what_was_asked_for_counts(answer: str, expected: Judgement | None) -> None:
    assert parsed(answer, "the tide comes") == expected


def test_a_spoilt_cache_is_no_evidence(tmp_path: Path) -> None:
    with served(lambda asked: says("YES", "tide")) as server:
        one = judge(server, tmp_path)
        one.ask("Tides?", "the tide")
        (kept,) = (tmp_path / "cache").iterdir()
        kept.write_text('{"verdict": "YES", "evidence": "moon"}')
        assert one.ask("Tides?", "the tide") == UNCLEAR
        kept.write_text("{")
        assert one.ask("Tides?", "the tide") == Judgement("YES", "tide")


def test_a_judge_decides_on_what_patterns_nominate(tmp_path: Path) -> None:
    said = ["The tide of war", "The TIDE is high", "The sun", "The TIDE is high"]
    connection = tables(tmp_path / "tables", [row(at, text) for at, text in enumerate(said)])

    def answer(asked: str) -> tuple[int, str]:
        return says("YES", "TIDE is high") if "high" in json.loads(asked)["text"] else says("NO")

    with served(answer) as server:
        asked = detector(question={"question": "Is it about the sea?"})
        find_hits(connection, packs(asked), helpers=Helpers(judge=judge(server, tmp_path)))
        assert len(server.seen) == 2
    assert hits(connection, "row_id, span, span_start") == [
        ("row-1", "TIDE is high", 4), ("row-3", "TIDE is high", 4),
    ]  # fmt: skip
