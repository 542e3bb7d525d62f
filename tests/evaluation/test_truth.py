"""Planted-truth scores against counts made by hand; a corpus may hold anything where truth should be."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from nla_ray.evaluation.truth import Judged, Property, Vocabulary, score, score_table

COLOURS = {"red": ["crimson", "ruby"], "blue": ["azure"]}
WORDS = Vocabulary(
    (
        Property("colour", COLOURS),
        Property("lie", {"theft": ["stole"], "fraud": ["forged"], "no": ["honest"]}, anywhere=True,
                 apart=("theft", "fraud")),
    )
)  # fmt: skip
ALL = frozenset({"colour", "lie"})


def judged(lie: str, named: str | None, *, colour: str = "red", said: str = "red") -> Judged:
    return Judged({"colour": colour, "lie": lie}, ALL, {"colour": said} | ({"lie": named} if named else {}))


def test_recall_precision_and_chance() -> None:
    rows = [
        judged("theft", "theft"),
        judged("theft", None),
        judged("no", "theft", colour="blue"),
        judged("no", "no", colour="blue", said="blue"),
    ]
    scores = {one.prop: one for one in score(rows, WORDS)}
    assert list(scores) == ["colour", "theft", "fraud"]
    assert scores["theft"].recall == 0.5 and scores["theft"].precision == 0.5
    assert scores["theft"].chance == 0.5 and scores["theft"].n == 2
    assert scores["colour"].recall == 0.75
    assert scores["colour"].chance == pytest.approx((2 * 3 + 2 * 1) / 16)
    assert (scores["fraud"].n, scores["fraud"].precision, scores["fraud"].chance) == (0, None, 0.0)


def test_what_was_not_shown_yet_does_not_count_for_recall() -> None:
    rows = [Judged({"colour": "red", "lie": "theft"}, frozenset({"colour"}), {"colour": "red"})]
    scores = {one.prop: one for one in score(rows, WORDS)}
    assert scores["colour"].recall == 1.0 and scores["theft"].n == 0


def test_what_a_text_names() -> None:
    assert WORDS.named("a ruby\n\nthey stole, under an azure sky") == {"colour": "red", "lie": "theft"}
    assert WORDS.named("crimson or azure; crimson, ruby") == {} == WORDS.named("")


def test_tables_are_scored_per_control_by_position() -> None:
    meta = json.dumps({"truth": {"colour": "red", "lie": "no", "more": 1, "shown": {"colour": 5, "more": 0}}})
    table = pa.table(
        {
            "control": ["shuffled", "real", "real", "real"],
            "position": [9, 9, 3, None],
            "explanation": ["azure", "ruby", None, None],
            "meta": [meta, meta, meta, meta],
        }
    )
    found = score_table(table, WORDS)
    assert list(found) == ["real", "shuffled"]
    assert found["real"][0].prop == "colour" and (found["real"][0].n, found["real"][0].recall) == (1, 1.0)
    assert found["shuffled"][0].recall == 0.0


@pytest.mark.parametrize(
    "truth",
    [3, None, [], "red", {"n": 1}, {"colour": "red", "shown": {"colour": 1}}, {"colour": "red", "lie": "no"},
     {"colour": ["red"], "lie": "no", "shown": {}}, {"colour": "red", "lie": "no", "shown": ["colour"]}],
)  # fmt: skip
def test_another_column_of_that_name_is_no_truth(truth: object) -> None:
    assert WORDS.judged(9, "ruby", json.dumps({"truth": truth})) is None


@pytest.mark.parametrize("first", ["1", None, [1], {}, 10])
def test_what_has_no_place_before_the_position_was_not_shown(first: object) -> None:
    one = WORDS.judged(
        9, "ruby", json.dumps({"truth": {"colour": "red", "lie": "no", "shown": {"colour": first}}})
    )
    assert one is not None and one.shown == frozenset()


def test_a_corpus_says_the_truth_in_columns_of_its_own() -> None:
    words = Vocabulary(
        (
            Property("topic", {"art": ["Painting"], "war": ["battle"]}, anywhere=True, column="topic"),
            Property("safe", {"true": ["harmless"], "false": ["danger"]}, column="safe"),
        )
    )
    one = words.judged(None, "A\n\npainting of battles. danger", json.dumps({"topic": "art", "safe": False}))
    assert one == Judged({"topic": "art", "safe": "false"}, frozenset({"topic", "safe"}), {"topic": "art"})
    partly = words.judged(3, "danger: battle", json.dumps({"topic": "music", "safe": True}))
    assert partly == Judged({"safe": "true"}, frozenset({"safe"}), {"safe": "false"})
    assert words.judged(3, "a battle", json.dumps({"topic": None})) is None
    scores = {found.prop: found for found in score([one, partly], words)}
    assert (scores["topic"].n, scores["topic"].recall) == (1, 1.0)
    assert (scores["safe"].n, scores["safe"].recall, scores["safe"].precision) == (2, 0.0, 0.0)
