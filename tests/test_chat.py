"""One request to a chat endpoint, held against a real server on this machine."""

from __future__ import annotations

import json

import pytest

from nla_ray.chat import Chat, Completion, RefusedError, completion
from nla_ray.config.chat import ChatConfig
from nla_ray.errors import ConfigError, InputError
from tests.chat_server import served

BODY = json.dumps({"messages": [{"role": "user", "content": "well?"}]}).encode()


def chat(url: str, **values: object) -> Chat:
    return Chat(ChatConfig.model_validate({"base_url": url, "model": "m", "timeout_s": 5} | values), "asker")


def test_an_answer_with_what_it_used() -> None:
    with served(lambda asked: (200, asked + "!")) as server:
        assert chat(server.url).ask(BODY) == Completion("well?!", 100, "stop")
        chat(server.url).require_listener()
    with pytest.raises(InputError, match=r"asker.base_url: nobody answers at .*ConnectionRefusedError"):
        chat(server.url).require_listener()
    with pytest.raises(InputError, match="no answer"):
        chat(server.url, timeout_s=0.05).ask(BODY)


def test_a_busy_endpoint_is_asked_again_when_it_says() -> None:
    answers = iter([(503, ""), (429, ""), (200, "now")])
    with served(lambda asked: next(answers), headers={"Retry-After": "0"}) as server:
        found = chat(server.url, timeout_s=0.05).ask(BODY)
        assert found is not None and found.content == "now" and len(server.seen) == 3
    calm = chat("http://127.0.0.1:1")
    assert [calm._pause(attempt, 0.0) for attempt in (0, 1, 9)] == [1.0, 2.0, 30.0]
    assert calm._pause(0, 7.0) == 7.0 and calm._pause(0, 9999.0) == 60.0


def test_no_more_attempts_than_may_be_made() -> None:
    left = iter([True, True, False])
    with served(lambda asked: (500, "")) as server:
        assert chat(server.url, timeout_s=0.05, attempts=9).ask(BODY, lambda: next(left)) is None
        assert len(server.seen) == 2


@pytest.mark.parametrize("status", [302, 400, 401, 404])
def test_a_refusal_is_final(status: int) -> None:
    with served(lambda asked: (status, ""), headers={"Location": "/elsewhere"}) as server:
        with pytest.raises(RefusedError, match=f"refused with status {status}") as refused:
            chat(server.url).ask(BODY)
        assert refused.value.status == status and len(server.seen) == 1


def test_the_key_is_read_from_the_named_variable_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"asker.key_env: the environment variable SOME_KEY is not set"):
        chat("http://127.0.0.1:1", key_env="SOME_KEY")
    monkeypatch.setenv("SOME_KEY", "secret")
    with served(lambda asked: (200, "")) as server:
        chat(server.url, key_env="SOME_KEY").ask(BODY)
        assert server.keys == ["Bearer secret"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"not JSON", Completion("")),
        (b'{"choices": []}', Completion("")),
        (b"[" * 5000, Completion("")),
        (b"[1]", Completion("")),
        (b'{"choices": [{"message": {"content": null}}]}', Completion("")),
        (b'{"choices": [{"message": {"content": [{"type": "text", "text": "a"}, 1]}}]}', Completion("a")),
        (b'{"choices": [{"message": {"content": "a"}, "finish_reason": 3}]}', Completion("a")),
        (b'{"choices": [{"message": {"content": "a"}}], "usage": {"total_tokens": -1}}', Completion("a")),
        (b'{"choices": [{"message": {"content": "a"}}], "usage": []}', Completion("a")),
    ],
)
def test_an_answer_that_is_none(data: bytes, expected: Completion) -> None:
    assert completion(data) == expected
