"""Text for matching, and text without secrets."""

from __future__ import annotations

import pytest

from nla_ray.errors import InputError
from nla_ray.text import masked, masked_values, normalise, storable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Plain Text", "plain text"),
        ("ｄｅｃｅｉｖｅ", "deceive"),
        ("de\u200bcei\u00adve", "deceive"),
        ("\u202edeceive\u202c\ufeff", "deceive"),
        ("two\n\tlines\x00", "two\n\tlines"),
        ("Straße ﬁn", "strasse fin"),
    ],
)
def test_what_hides_a_word_is_taken_away(text: str, expected: str) -> None:
    assert normalise(text) == expected


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("at https://user:pass@host/x failed", "at https://***@host/x failed"),
        (
            "https://h/x?X-Amz-Signature=abc&X-Amz-Expires=60",
            "https://h/x?X-Amz-Signature=***&X-Amz-Expires=60",
        ),
        ("s3://b/k?versionId=1", "s3://b/k?versionId=1"),
        (
            "https://hooks/T1?token=abc; https://h?api_key=k#f",
            "https://hooks/T1?token=***; https://h?api_key=***#f",
        ),
        (
            "https://me:word: no; http://[::1]:80, http://h:80: no",
            "https://*** no; http://[::1]:80, http://h:80: no",
        ),
        ("s3://bucket: denied", "s3://bucket: denied"),
        ("mail a@b, 3 tokens=5", "mail a@b, 3 tokens=5"),
    ],
)
def test_what_opens_something_is_masked(text: str, kept: str) -> None:
    assert masked(text) == kept and masked_values({"a": [text]}) == {"a": [kept]}


def test_secrets_of_the_environment_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_API_KEY", "sk-0123456789abcdef")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/var/run/secrets/token")
    assert masked("sk-0123456789abcdef at /var/run/secrets/token") == "*** at /var/run/secrets/token"
    assert "sk-0123456789abcdef" not in str(InputError("refused: sk-0123456789abcdef"))


@pytest.mark.parametrize("text", ["plain", "🙂 astral", "\ufeffmark", "㈎", ""])
def test_sound_text_is_stored_as_it_is(text: str) -> None:
    assert storable(text) == text
