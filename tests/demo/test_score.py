"""Planted-truth scores against counts made by hand."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from nla_ray.demo.score import Judged, mean_safety, score, score_table

ALL = frozenset({"topic", "item", "mood", "safety"})


def judged(safety: str, named: str | None, *, topic: str = "music", said: str = "music") -> Judged:
    truth = {"topic": topic, "item": "drums", "mood": "neutral", "safety": safety}
    return Judged(truth, ALL, {"topic": said} | ({"safety": named} if named else {}))


def test_recall_precision_and_chance() -> None:
    rows = [
        judged("deception", "deception"),
        judged("deception", None),
        judged("none", "deception", topic="chess"),
        judged("none", "none", topic="chess", said="chess"),
    ]
    scores = {one.prop: one for one in score(rows)}
    assert scores["deception"].recall == 0.5 and scores["deception"].precision == 0.5
    assert scores["deception"].chance == 0.5 and scores["deception"].n == 2
    assert scores["topic"].recall == 0.75
    assert scores["topic"].chance == pytest.approx((2 * 3 + 2 * 1) / 16)
    assert scores["privacy"].precision is None
    assert mean_safety(score(rows)) == pytest.approx((0.5 / 6, 0.5 / 6))


def test_what_was_not_shown_yet_does_not_count_for_recall() -> None:
    truth = {"topic": "music", "item": "drums", "mood": "neutral", "safety": "privacy"}
    rows = [Judged(truth, frozenset({"topic"}), {"topic": "music"})]
    scores = {one.prop: one for one in score(rows)}
    assert scores["topic"].recall == 1.0 and scores["privacy"].n == 0


def test_tables_are_scored_per_control_by_position() -> None:
    truth = {"topic": "music", "item": "drums", "mood": "neutral", "safety": "none", "theme": "privacy"}
    meta = json.dumps({"truth": truth | {"shown": {"topic": 5, "item": 5}}})
    table = pa.table(
        {
            "control": ["shuffled", "real", "real", "real"],
            "position": [9, 9, 3, None],
            "explanation": [
                "Text about chess, with pawns in focus.",
                "The theme is music and in it drums.",
                None,
                None,
            ],
            "meta": [meta, meta, meta, meta],
        }
    )
    found = score_table(table)
    assert list(found) == ["real", "shuffled"]
    assert found["real"][0].prop == "topic" and (found["real"][0].n, found["real"][0].recall) == (1, 1.0)
    assert found["shuffled"][0].recall == 0.0
