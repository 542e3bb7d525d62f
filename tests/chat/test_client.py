"""Requests to a chat endpoint, held against a real server on this machine."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nla_ray.chat.answer import Completion
from nla_ray.chat.client import Chat, Purse, UnansweredError, pause_s
from nla_ray.config.models.chat import ChatConfig
from nla_ray.errors import ConfigError, Exit, InputError, UnreachableError
from tests.chat_server import served

pytestmark = pytest.mark.usefixtures("soon")

BODY = json.dumps({"messages": [{"role": "user", "content": "well?"}]}).encode()
SILENT: dict[str, Any] = {"message": {"content": None}, "finish_reason": "stop"}


class Counting(Purse):
    """Pays for so many attempts, and keeps what they cost."""

    def __init__(self, attempts: int = 99) -> None:
        self.left, self.paid = attempts, list[int | None]()

    def take(self) -> bool:
        self.left -= 1
        return self.left >= 0

    def pay(self, tokens: int | None) -> None:
        self.paid.append(tokens)


def chat(url: str, **values: object) -> Chat:
    config = ChatConfig.model_validate({"base_url": url, "model": "m", "timeout_s": 5} | values)
    return Chat(config, "asker", "<a>")


def test_an_answer_with_what_it_used() -> None:
    purse = Counting()
    with served(lambda asked: (200, asked + "!")) as server:
        assert chat(server.url).ask(BODY, purse) == Completion("well?!", "stop")
        chat(server.url).require_listener()
    assert purse.paid == [100]
    with pytest.raises(InputError, match=r"asker.base_url: nobody answers at .*ConnectionRefusedError"):
        chat(server.url).require_listener()
    with pytest.raises(
        UnreachableError,
        match=r"\(ConnectionRefusedError\), asked 3 times; see that asker.base_url",
    ):
        chat(server.url).ask(BODY)


def test_a_busy_endpoint_is_asked_again_when_it_says() -> None:
    answers = iter([(503, ""), (429, ""), (200, b'{"error": {"code": 502}}'), (200, "now")])
    purse = Counting()
    with served(lambda asked: next(answers), headers={"Retry-After": "0"}) as server:
        found = chat(server.url, attempts=4).ask(BODY, purse)
        assert found is not None and found.content == "now" and len(server.seen) == 4
    assert purse.paid == [0, 0, 0, 100]


def test_pauses_grow_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nla_ray.chat.client.FIRST_PAUSE_S", 1.0)
    assert [pause_s(attempt, 0.0) for attempt in (0, 1, 9)] == [1.0, 2.0, 60.0]
    assert pause_s(0, 7.0) == 7.0 and pause_s(0, 9999.0) == 60.0


def test_a_silent_endpoint_is_asked_again_and_paid_each_time() -> None:
    answers = iter([(200, SILENT), (200, "<think>so"), (200, "now")])
    purse = Counting()
    with served(lambda asked: next(answers)) as server:
        found = chat(server.url).ask(BODY, purse)
    assert found is not None and found.content == "now" and purse.paid == [100, 100, 100]


@pytest.mark.parametrize(
    ("choice", "reason", "requests"),
    [
        (SILENT, "empty", 3),
        ({"message": {"content": ""}, "finish_reason": "length"}, "cut off before it began", 1),
        (
            {"message": {"content": "a"}, "finish_reason": "content_filter"},
            "withheld by the endpoint's filter",
            1,
        ),
    ],
)
def test_no_words_are_no_answer_of_this_text(choice: dict[str, Any], reason: str, requests: int) -> None:
    purse = Counting()
    with served(lambda asked: (200, choice), usage=False) as server:
        with pytest.raises(UnansweredError, match=f"no answer: {reason}; ") as none:
            chat(server.url).ask(BODY, purse)
        assert len(server.seen) == requests
    assert none.value.reason == reason and none.value.of_the_text and purse.paid == [None] * requests


def test_where_the_first_texts_get_no_answer_no_text_will() -> None:
    with served(lambda asked: (200, SILENT)) as server:
        asked = chat(server.url, attempts=1)
        for of_the_text in (True, True, True, True, False):
            with pytest.raises(UnansweredError) as none:
                asked.ask(BODY)
            assert none.value.of_the_text == of_the_text
        assert "none of the first 5 requests had an answer" in str(none.value)
        server.answer = lambda asked: (200, "now")
        asked.ask(BODY)
        server.answer = lambda asked: (400, "")
        with pytest.raises(UnansweredError) as none:
            asked.ask(BODY)
        assert none.value.of_the_text


def test_no_more_attempts_than_may_be_made() -> None:
    with served(lambda asked: (500, "")) as server:
        assert chat(server.url, attempts=9).ask(BODY, Counting(2)) is None
        assert len(server.seen) == 2


@pytest.mark.parametrize("status", [302, 400, 401, 404])
def test_a_refusal_is_final(status: int) -> None:
    with served(lambda asked: (status, b'{"error": "why"}'), headers={"Location": "/elsewhere"}) as server:
        with pytest.raises(UnansweredError, match=rf"refused with status {status} \(why\)") as refused:
            chat(server.url).ask(BODY)
        assert refused.value.reason == f"refused by the endpoint (status {status})"
        assert refused.value.of_the_text == (status == 400) and len(server.seen) == 1


def test_a_page_is_no_chat_endpoint() -> None:
    with (
        served(lambda asked: (200, b"<html>hello</html>")) as server,
        pytest.raises(UnreachableError, match=r"not JSON \(<html>hello</html>\), asked 3 times") as other,
    ):
        chat(server.url).ask(BODY)
    assert other.value.exit_code == Exit.TRY_AGAIN


def test_the_key_is_read_from_the_named_variable_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"asker.key_env: the environment variable SOME_KEY is not set"):
        chat("http://127.0.0.1:1", key_env="SOME_KEY")
    monkeypatch.setenv("SOME_KEY", " secret\n")
    with served(lambda asked: (200, "well")) as server:
        chat(server.url, key_env="SOME_KEY").ask(BODY)
        assert server.keys == ["Bearer secret"]
        chat(server.url).ask(BODY)
        assert server.keys[1] is None


@pytest.mark.parametrize("key", ["two words", "sk-\x07", "schlüssel"])
def test_what_is_no_key_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("SOME_VALUE", key)
    with pytest.raises(ConfigError, match="SOME_VALUE holds what is no key") as refused:
        chat("http://127.0.0.1:1", key_env="SOME_VALUE")
    assert key not in str(refused.value)


def test_an_endpoint_that_repeats_the_key_is_not_quoted_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_VALUE", "sk-1")
    with (
        served(lambda asked: (401, b'{"error": {"message": "wrong key: sk-1"}}')) as server,
        pytest.raises(UnansweredError, match=r"wrong key: \*\*\*") as refused,
    ):
        chat(server.url, key_env="SOME_VALUE").ask(BODY)
    assert "sk-1" not in str(refused.value)
