"""Explanations from a chat endpoint: a real server on this machine, real answers on disk."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from nla_ray.config.training.training_set import Endpoint
from nla_ray.errors import ConfigError, InputError
from nla_ray.providers.answers import Answers
from nla_ray.providers.endpoint import EndpointProvider
from nla_ray.providers.provider import BudgetError, Place, Said
from nla_ray.store import open_store
from tests.chat_server import Said as Said_
from tests.chat_server import Server, explains, served

pytestmark = pytest.mark.usefixtures("soon")

PLACES = [Place(f"doc{at}", at, f"text number {at}", f" {at}", None, {}) for at in range(8)]


def provider(server: Server, folder: Path, **values: Any) -> EndpointProvider:
    base = {"kind": "endpoint", "base_url": server.url, "model": "m", "max_requests": 100, "timeout_s": 5}
    config = Endpoint.model_validate(base | values)
    return EndpointProvider(config, "Explain.", Answers(open_store(folder)))


def said(asked: EndpointProvider, places: list[Place] = PLACES, unit: str = "u") -> list[Said]:
    found = dict(asked.explain(places, unit))
    return [found[at] for at in range(len(places))]


def test_every_place_is_asked_about_once_and_never_again(tmp_path: Path) -> None:
    together = threading.Barrier(2)

    def answer(asked: str) -> tuple[int, str]:
        together.wait(60)
        return explains(asked)

    with served(answer) as server:
        first = said(provider(server, tmp_path, concurrency=3))
        assert len(server.seen) == 8 and 2 <= server.most_at_once <= 3
        again = provider(server, tmp_path, max_requests=8)
        assert said(again) == first and len(server.seen) == 8
        other_unit = said(again, unit="v")
        assert [one.text for one in other_unit] == [one.text for one in first] and len(server.seen) == 8
    assert {one.requests for one in first} == {1} and {one.tokens for one in first} == {100}
    assert {one.requests for one in other_unit} == {0}
    body = server.seen[0]
    assert (
        body["max_tokens"] == 300
        and body["temperature"] == 0
        and body["messages"][0]["content"] == "Explain."
    )
    assert body["messages"][1]["content"].startswith("<text>\ntext number ")
    assert 'Its final token: " ' in body["messages"][1]["content"]


def test_equal_texts_are_one_question(tmp_path: Path) -> None:
    with served(explains) as server:
        found = said(provider(server, tmp_path), [PLACES[0], PLACES[1], PLACES[0]])
        assert len(server.seen) == 2
    assert found[0].text == found[2].text and [one.requests for one in found] == [1, 1, 0]


def test_another_question_is_another_answer(tmp_path: Path) -> None:
    with served(explains) as server:
        for values in ({}, {"model": "n"}, {"temperature": 1}, {"answer_tokens": 20}, {"body": {"x": 1}}):
            said(provider(server, tmp_path, **values), PLACES[:1])
        assert len(server.seen) == 5
        said(provider(server, tmp_path, concurrency=9, attempts=9, timeout_s=9), PLACES[:1])
        assert len(server.seen) == 5
        said(
            provider(server, tmp_path, body={"temperature": None, "max_tokens": None, "most": 9}), PLACES[:1]
        )
    assert {"temperature", "max_tokens"}.isdisjoint(server.seen[5]) and server.seen[5]["most"] == 9


def test_bad_answers_are_dropped_with_their_reason_and_not_asked_for_again(tmp_path: Path) -> None:
    answers = {"0": "cut <explanation>off", "1": "<explanation>one</explanation>", "2": "Sorry."}

    def answer(asked: str) -> tuple[int, str]:
        number = asked.split("number ")[1][0]
        return (200, answers[number]) if number in answers else explains(asked)

    with served(answer) as server:
        found = said(provider(server, tmp_path))
        assert said(provider(server, tmp_path)) == found and len(server.seen) == 8
    reasons = [one.reason for one in found]
    assert reasons == ["no closing tag", "fewer than two features", "no closing tag", *[None] * 5]
    assert all(one.tokens == 100 for one in found)


@pytest.mark.parametrize("budget", [{"max_requests": 3}, {"max_tokens": 700}])
def test_a_budget_stops_and_what_was_answered_is_kept(tmp_path: Path, budget: dict[str, int]) -> None:
    with served(explains) as server:
        with pytest.raises(BudgetError, match="the budget is spent") as stopped:
            said(provider(server, tmp_path, concurrency=2, **budget))
        most = budget.get("max_requests") or budget["max_tokens"] // 100
        assert stopped.value.exit_code == 9 and 0 < len(server.seen) <= most
        with pytest.raises(BudgetError):
            said(provider(server, tmp_path, **budget))
        assert len(server.seen) <= most, "the budget is that of the whole set"
        assert all(one.text for one in said(provider(server, tmp_path))) and len(server.seen) == 8


def test_what_one_process_asked_is_counted_once(tmp_path: Path) -> None:
    with served(explains) as server:
        asked = provider(server, tmp_path)
        assert said(asked) == said(asked) and (asked.budget.requests, asked.budget.tokens) == (8, 800)


def test_tokens_are_never_overspent(tmp_path: Path) -> None:
    with served(explains, usage=False) as server:
        asked = provider(server, tmp_path, concurrency=8, max_tokens=1200)
        with pytest.raises(BudgetError):
            said(asked)
        assert 0 < asked.budget.tokens <= 1200


SILENT: dict[str, Any] = {"message": {"content": None, "reasoning_content": "so"}, "finish_reason": "stop"}


def test_no_words_are_never_an_answer(tmp_path: Path) -> None:
    silent = {"number 5": SILENT, "number 6": "<think>so <explanation>a\n\nb</explanation>", "number 7": ""}

    def answer(asked: str) -> tuple[int, Said_]:
        return 200, next((said for name, said in silent.items() if name in asked), explains(asked)[1])

    with served(answer) as server:
        asked = provider(server, tmp_path, concurrency=1)
        found = said(asked)
        assert [one.reason for one in found[5:]] == [
            "nothing but reasoning",
            "nothing but reasoning",
            "empty",
        ]
        assert [one.requests for one in found] == [1] * 5 + [3] * 3 and found[5].tokens == 300
        assert (asked.budget.requests, asked.budget.tokens) == (14, 1400) == (len(server.seen), 1400)
        assert sum(1 for _ in tmp_path.rglob("*.json")) == 5
        silent.clear()
        assert all(one.text for one in said(provider(server, tmp_path))) and len(server.seen) == 17


def test_where_no_words_come_at_all_it_ends_early(tmp_path: Path) -> None:
    with served(lambda asked: (200, SILENT)) as server:
        with pytest.raises(InputError, match="none of the first 5 requests had an answer"):
            said(provider(server, tmp_path, concurrency=1, attempts=1))
        assert len(server.seen) == 5 and not list(tmp_path.rglob("*.json"))


def test_kept_answers_without_words_are_asked_for_again(tmp_path: Path) -> None:
    with served(explains) as server:
        first = said(provider(server, tmp_path))
        kept = sorted(tmp_path.rglob("*.json"))
        for path, raw in zip(kept, ("", "<think>so"), strict=False):
            path.write_text(json.dumps(json.loads(path.read_text()) | {"raw": raw}))
        again = provider(server, tmp_path)
        found = said(again)
        assert [one.text for one in found] == [one.text for one in first]
        assert sum(one.again for one in found) == 2 and len(server.seen) == again.budget.requests == 10
        assert not any(one.again for one in said(provider(server, tmp_path))) and len(server.seen) == 10


def test_attempts_that_were_in_vain_are_remembered_with_the_answer(tmp_path: Path) -> None:
    silent = iter([SILENT, SILENT])
    with served(lambda asked: (200, next(silent, explains(asked)[1]))) as server:
        (one,) = said(provider(server, tmp_path), PLACES[:1])
        assert (one.requests, one.tokens) == (3, 300)
        again = provider(server, tmp_path)
        assert said(again, PLACES[:1]) == [one] and (again.budget.requests, again.budget.tokens) == (3, 300)


def test_a_text_that_is_refused_is_dropped(tmp_path: Path) -> None:
    with served(lambda asked: (400, "") if "number 5" in asked else explains(asked)) as server:
        found = said(provider(server, tmp_path, concurrency=1))
    assert [one.reason for one in found] == [*[None] * 5, "refused by the endpoint (status 400)", None, None]


@pytest.mark.parametrize(("status", "requests"), [(401, 1), (404, 1), (400, 5), (503, 3)])
def test_what_does_not_lie_in_a_text_ends_it(tmp_path: Path, status: int, requests: int) -> None:
    with served(lambda asked: (status, "")) as server:
        with pytest.raises(InputError, match=f"status {status}"):
            said(provider(server, tmp_path, concurrency=1))
        assert len(server.seen) >= requests


def test_answers_that_came_before_an_error_are_kept(tmp_path: Path) -> None:
    with served(lambda asked: (401, "") if "number 5" in asked else explains(asked)) as server:
        with pytest.raises(InputError, match="status 401"):
            said(provider(server, tmp_path, concurrency=1))
        before = len(server.answered)
    assert sum(1 for _ in tmp_path.rglob("*.json")) == before == 5


def test_no_key_and_nobody_there(tmp_path: Path) -> None:
    with served(explains) as server, pytest.raises(ConfigError, match=r"key_env: .* NO_SUCH_KEY is not set"):
        provider(server, tmp_path, key_env="NO_SUCH_KEY")
    with pytest.raises(InputError, match=r"provider.base_url: nobody answers"):
        provider(server, tmp_path)


def test_a_spoilt_answer_is_named(tmp_path: Path) -> None:
    with served(explains) as server:
        said(provider(server, tmp_path), PLACES[:1])
        (kept,) = tmp_path.rglob("*.json")
        kept.write_text("{")
        with pytest.raises(InputError, match="not a kept answer; remove it"):
            said(provider(server, tmp_path), PLACES[:1])


def test_a_long_text_shows_its_end_and_no_text_is_no_question(tmp_path: Path) -> None:
    places = [Place("a", 1, "x" * 500 + "the end", None, None, {}), Place("b", 1, None, None, None, {})]
    with served(explains) as server:
        found = said(provider(server, tmp_path, max_chars=100), places)
        assert len(server.seen) == 1
    shown = server.seen[0]["messages"][1]["content"]
    assert shown == f"<text>\n[...]{'x' * 93}the end\n</text>"
    assert found[1] == Said(None, "the text is not known")
