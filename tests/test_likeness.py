"""Copies of documents: equal texts, nearly equal ones, and what is neither."""

from __future__ import annotations

import random

import numpy as np

from nla_ray.likeness import HASHES, Groups, content_key, equal_pairs, near_pairs, signature


def words(seed: int, n: int = 200) -> list[str]:
    rng = random.Random(seed)
    return [f"w{rng.randrange(2000)}" for _ in range(n)]


def matrix(texts: list[str]) -> np.ndarray:
    return np.frombuffer(b"".join(map(signature, texts)), "<u4").reshape(-1, HASHES)


def jaccard(one: list[str], other: list[str]) -> float:
    a, b = ({" ".join(some[at : at + 5]) for at in range(len(some) - 4)} for some in (one, other))
    return len(a & b) / len(a | b)


def test_equal_but_for_case_white_space_and_hidden_characters() -> None:
    assert content_key("The  Sea\n") == content_key("the sea") == content_key("the\u200b sea")
    assert content_key("the sea") != content_key("the see")
    assert content_key("\ud800")


def test_the_estimate_is_near_the_jaccard_similarity() -> None:
    base = words(0)
    for changed in (0, 5, 20, 60):
        other = [*base[: 200 - changed], *words(1, changed)]
        one, two = matrix([" ".join(base), " ".join(other)])
        assert abs(float((one == two).mean()) - jaccard(base, other)) < 0.2


def test_near_copies_are_found_among_many_others() -> None:
    texts = [" ".join(words(seed)) for seed in range(300)]
    texts[250] = " ".join([*words(7)[:195], *words(999, 5)])
    found = set(near_pairs(matrix(texts), 0.8))
    assert found == {(7, 250)}
    assert set(near_pairs(matrix([texts[0], texts[0], "short", "short"]), 1.0)) == {(0, 1), (2, 3)}


def test_groups_join() -> None:
    groups = Groups(6)
    assert [groups.join(*pair) for pair in ((0, 1), (4, 5), (1, 4), (0, 5))] == [True, True, True, False]
    assert groups.roots().tolist() == [0, 0, 2, 3, 0, 0]
    assert list(equal_pairs("abcab")) == [(0, 3), (1, 4)]
