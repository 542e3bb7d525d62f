"""What may be stored of a reading, where it is known which characters its tokens are, and where it is not."""

from __future__ import annotations

from nla_ray.config.reading.redaction import Redact
from nla_ray.corpus.documents.document import Document
from nla_ray.corpus.reading.reader import UNKNOWN, Reading
from nla_ray.corpus.redaction.keep import Keeper

REDACT = Redact(patterns=("s3cr3t",), replacement="#")
TEXT, ENDS = "my s3cr3t is safe", (2, 6, 9, 12, 17)


def reading(text: str | None = TEXT, ends: tuple[int, ...] | None = ENDS) -> Reading:
    return Reading(Document("doc", "place"), tuple(range(5)), (1, 4), text=text, token_ends=ends)


def tokens(keeper: Keeper, one: Reading, *said: str) -> list[str | None]:
    kept = keeper.document(one, one.positions, None)
    return [keeper.token(one, kept, at, token) for at, token in enumerate(said)]


def test_tokens_with_a_part_in_what_is_hidden_are_not_stored() -> None:
    keeper = Keeper("full", 0, REDACT)
    kept = keeper.document(reading(), (1, 4), '{"a": ["s3cr3t"], "s3cr3t": 1}')
    assert (kept.text, kept.token_ends) == ("my # is safe", (2, 4, 4, 7, 12))
    assert kept.meta == '{"a": ["#"], "#": 1}'
    assert tokens(keeper, reading(), "my", " s3c", "r3t", " is", " safe") == [
        "my",
        None,
        None,
        " is",
        " safe",
    ]


def test_where_no_token_has_a_place_none_of_such_a_text_is_stored() -> None:
    keeper = Keeper("full", 0, REDACT)
    assert tokens(keeper, reading(ends=None), "my", "r3t") == [None, None]
    assert tokens(keeper, reading("is safe", None), "is") == ["is"]
    vector = reading(None, None)
    assert keeper.token(vector, keeper.document(vector, (), None), 0, "s3cr3t") is None
    assert keeper.token(vector, keeper.document(vector, (), None), UNKNOWN, None) is None


def test_windows_and_nothing() -> None:
    window = Keeper("window", 1, REDACT)
    kept = window.document(reading(), (4,), '{"response": "said", "response_start": 3}')
    assert kept.text == "…s safe" and kept.meta == '{"response_start": 3}'
    assert window.document(reading(ends=None), (4,), None).text is None
    nothing = Keeper("none", 1, None)
    assert nothing.document(reading(), (4,), None).text is None
    assert tokens(nothing, reading(), "my") == [None]
    assert nothing.stored(reading()).token_ends is None


def test_without_a_wish_everything_is_stored_as_it_is() -> None:
    keeper = Keeper("full", 0, None)
    assert keeper.everything and keeper.document(reading(), (), "{ }").meta == "{ }"
