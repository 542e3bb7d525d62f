"""The sample: what is drawn of which kind, by key, and weighed as it was drawn."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from nla_ray.audit.review.sheet import sheet
from nla_ray.config.audit import AuditConfig
from nla_ray.errors import ConfigError, InputError
from nla_ray.pipelines.review.sample import draw_sample, open_review
from tests.audit.planted import Row
from tests.audit.tables import write_pack, write_tables

KINDS = {"speaks of sabotage.": "hit", "in jest": "set aside", "a sabotage": "vocabulary"}


def test_hits_and_near_misses_are_told_apart_and_counted(config: AuditConfig) -> None:
    items = draw_sample(open_review(config), 500)
    for item in items.values():
        expected = next((kind for words, kind in KINDS.items() if words in item.text), "elsewhere")
        assert item.stratum == expected, item.text
    real = [item for item in items.values() if item.control == "real"]
    assert json.loads(real[0].strata) == {"hit": 18, "set aside": 18, "vocabulary": 18, "elsewhere": 126}
    # Of 500 near misses a fifth is drawn elsewhere.
    assert Counter(item.stratum for item in real)["elsewhere"] == 100


def test_a_sample_is_keyed_and_a_larger_one_holds_it(config: AuditConfig) -> None:
    small, same, large = (list(draw_sample(open_review(config), n)) for n in (8, 8, 16))
    assert small == same and set(small) < set(large)
    assert [hit for hit in large if hit in set(small)] == small
    assert not set(small) & set(draw_sample(open_review(config, seed=1), 8))


def test_control_rows_are_mixed_in_and_a_sheet_does_not_tell(config: AuditConfig) -> None:
    review = open_review(config)
    items = draw_sample(review, 15)
    found = Counter((item.stratum, item.control == "real") for item in items.values())
    assert found["hit", True] == 15 and found["hit", False] == 3
    text = sheet(items.values(), review.claims)
    assert not any(word in text for word in ("shuffled", "week1", "doc0", "set aside", "elsewhere"))


def test_one_detector_has_the_same_sample_among_others(config: AuditConfig, tmp_path: Path) -> None:
    more = write_pack(tmp_path / "more.yaml", "privacy")
    both = config.model_copy(update={"packs": (*config.packs, str(more))})
    alone = draw_sample(open_review(config), 10)
    assert draw_sample(open_review(both, ["sabotage"]), 10).keys() == alone.keys()
    assert draw_sample(open_review(both), 10).keys() > alone.keys()
    with pytest.raises(ConfigError, match="detector secrecy: there is none of this id; there are sabotage"):
        open_review(both, ["secrecy"])


def test_tables_without_text_cannot_be_reviewed(config: AuditConfig, tmp_path: Path) -> None:
    empty = write_tables(tmp_path / "empty", [Row(0, 0, "shuffled")])
    source = config.source.model_copy(update={"tables": empty})
    with pytest.raises(InputError, match="holds no explanation that can be searched"):
        draw_sample(open_review(config.model_copy(update={"source": source})), 5)
