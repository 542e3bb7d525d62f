"""Sittings: nothing that was said is lost, the last word counts, and a changed file is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from nla_ray.audit.review.draw import Item
from nla_ray.audit.review.labels import Label
from nla_ray.errors import InputError
from nla_ray.pipelines.review.sittings import Sitting, verdicts
from nla_ray.store import open_store, verify
from nla_ray.store.places.objects import Store
from nla_ray.store.upkeep.collect import Rules, garbage

REVIEW = "b" * 24 + "-0"
ITEMS = {
    f"hit{at}": Item(f"hit{at}", "secrecy", "r", "week1", f"row{at}", 0, "d", "d", "real", "hit", "{}", "It.")
    for at in range(3)
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "tables")


def begin(store: Store, reviewer: str = "Ann") -> Sitting:
    return Sitting(store, REVIEW, reviewer, ITEMS)


def said(store: Store) -> list[tuple[str, str, str]]:
    return [(one["hit"], one["reviewer"], one["verdict"]) for one in verdicts(store)]


def test_a_sitting_is_shown_once_it_ends_and_the_last_word_counts(store: Store) -> None:
    sitting = begin(store)
    for hit, verdict in (("hit0", "true"), ("hit1", "false"), ("hit0", "unclear")):
        sitting.say(Label(hit, verdict, "Ann"))
    assert said(store) == []
    assert sitting.close() == 3
    again = begin(store, "ann")
    assert {hit: row["verdict"] for hit, row in again.said.items()} == {"hit0": "unclear", "hit1": "false"}
    again.say(Label("hit1", "true", "ann"))
    again.close()
    assert said(store) == [("hit0", "Ann", "unclear"), ("hit1", "ann", "true")]
    assert verify(store.url) == []


def test_nothing_that_was_said_is_lost_where_a_sitting_breaks_off(store: Store) -> None:
    begin(store).say(Label("hit0", "true", "Ann", "sure"))
    after = begin(store, "Bo")
    assert after.taken_up == 1 and said(store) == [("hit0", "Ann", "true")]
    assert begin(store).said["hit0"]["note"] == "sure"


def test_what_waits_to_be_taken_up_is_told_and_is_no_garbage(store: Store) -> None:
    begin(store).say(Label("hit0", "true", "Ann"))
    (problem,) = verify(store.url)
    assert problem.kind == "unfinished" and "open the review again" in problem.detail
    assert garbage(store, Rules(days=0, stale_days=0)) == []
    assert begin(store).taken_up == 1 and verify(store.url) == []


def test_a_sitting_in_which_nothing_was_said_is_abandoned(store: Store) -> None:
    begin(store).say(Label("hit0", "true", "Ann"))
    (verdict,) = store.keys("events/")
    store.remove(verdict)
    (problem,) = verify(store.url)
    assert problem.detail.endswith("abandon it")
    assert [one.kind for one in garbage(store, Rules(stale_days=0))] == ["stale"]


def test_a_sitting_that_was_taken_for_broken_off_keeps_the_rest_too(store: Store) -> None:
    living = begin(store)
    living.say(Label("hit0", "true", "Ann"))
    begin(store, "Bo")
    living.say(Label("hit1", "false", "Ann"))
    living.close()
    assert said(store) == [("hit0", "Ann", "true"), ("hit1", "Ann", "false")]


def test_a_bucket_keeps_verdicts_too(s3: str) -> None:
    place = open_store(s3)
    begin(place).say(Label("hit0", "true", "Ann"))
    later = begin(place)
    later.say(Label("hit1", "false", "Ann"))
    later.close()
    assert said(place) == [("hit0", "Ann", "true"), ("hit1", "Ann", "false")]


def test_what_is_not_in_the_sample_and_nobody_are_refused(store: Store) -> None:
    with pytest.raises(InputError, match="is not in the sample of this review"):
        begin(store).say(Label("hit9", "true", "Ann"))
    with pytest.raises(InputError, match="give a name"):
        begin(store, "  ")
    assert not store.keys("plans/")


def test_a_file_of_verdicts_that_was_edited_is_refused(store: Store, tmp_path: Path) -> None:
    sitting = begin(store)
    sitting.say(Label("hit0", "true", "Ann"))
    sitting.close()
    (file,) = (tmp_path / "tables" / "reviews").rglob("*.parquet")
    file.chmod(0o644)
    data = file.read_bytes()
    file.write_bytes(data.replace(b"true", b"fals"))
    assert file.read_bytes() != data
    with pytest.raises(InputError, match="reviews/run_id="):
        verdicts(store)
