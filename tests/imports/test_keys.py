"""Documents, groups and sample numbers."""

from __future__ import annotations

import random
from collections import defaultdict

import numpy as np

from nla_ray.imports.entries import entry_of
from nla_ray.imports.formats.records import Record
from nla_ray.imports.keys import NO_KEY, Samples, doc_id_of, group_of, number_samples


def numbered(*results: tuple[int, int]) -> Samples:
    groups, stated = zip(*results, strict=True)
    return number_samples(np.array(groups, dtype=np.uint64), np.array(stated, dtype=np.int32))


def test_results_without_a_number_are_counted() -> None:
    found = numbered((7, -1), (8, -1), (7, -1), (7, -1), (8, -1))
    assert found.sample.tolist() == [0, 0, 1, 2, 1]
    assert not found.repeated.any()
    assert found.first.tolist() == [True, True, False, False, False]


def test_a_stated_number_stays_and_the_first_of_equal_ones_counts() -> None:
    found = numbered((7, 3), (7, 0), (7, 3), (8, 3))
    assert found.sample.tolist() == [3, 0, 3, 3]
    assert found.repeated.tolist() == [False, False, True, False]


def test_results_without_a_number_follow_the_stated_ones() -> None:
    assert numbered((7, -1), (7, 4), (7, -1), (8, -1)).sample.tolist() == [5, 4, 6, 0]


def test_unreadable_results_share_nothing() -> None:
    found = numbered((NO_KEY, -1), (7, -1), (NO_KEY, -1))
    assert found.sample.tolist() == [0, 0, 0]
    assert not found.repeated.any() and found.first.tolist() == [False, True, False]


def test_keys_are_unique_whatever_is_stated() -> None:
    draw = random.Random(1)
    for _ in range(100):
        results = [(draw.randrange(1, 6), draw.choice([-1, -1, 0, 1, 5])) for _ in range(40)]
        found = numbered(*results)
        seen: dict[int, set[int]] = defaultdict(set)
        for (group, stated), sample, repeated in zip(results, found.sample, found.repeated, strict=True):
            assert bool(repeated) == (sample in seen[group]) and stated in (-1, sample)
            seen[group].add(int(sample))
        assert found.first.sum() == len({group for group, _ in results})


def test_documents() -> None:
    def doc_id(**values: object) -> str:
        return doc_id_of(entry_of(Record(9, {"explanation": "x", **values})), "run")

    assert doc_id(prompt_idx=3, pos=1) == doc_id(prompt_idx=3) == doc_id(sample_idx=3.0) == "run/3"
    assert doc_id(doc_id="own", prompt_idx=3) == "own"
    assert doc_id(pos=1) == "run"
    assert doc_id() == "run/9"


def test_groups_are_the_same_for_the_samples_of_one_vector_alone() -> None:
    def group(**values: object) -> int:
        return group_of(entry_of(Record(1, {"explanation": "x", "prompt_idx": 3, "pos": 1, **values})), "run")

    assert group(rollout=0) == group(rollout=1, explanation="y")
    assert len({group(), group(pos=2), group(prompt_idx=4), group(kind="shuffled"), group(pos=None)}) == 5
    assert group(pos="no") == NO_KEY
