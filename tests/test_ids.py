"""Keys and ids: stable across machines, and never the same for different things."""

from __future__ import annotations

import hashlib
import random

from nla_ray.ids import Beginning, digest, row_id, sample_positions, sampling_key


def test_ids_are_pinned() -> None:
    """Ids are stored in tables: a change here orphans every table written before."""
    assert digest("a", 1) == hashlib.sha256(b"a\x1f1").hexdigest()
    assert row_id("doc", 3, "real") == "45a554a6ad4243a7843a83e2ea1ed88f"
    assert sampling_key(0, "row", 1) == 6255549049302120797


def test_parts_cannot_run_together() -> None:
    parts = [
        ("a", "b"),
        ("a\x1fb",),
        ("a\x1b", "b"),
        ("a\x1b\x1fb",),
        ("ab",),
        ("a", "", "b"),
        ("a\x1b\x1b", "b"),
    ]
    assert len({digest(*one) for one in parts}) == len(parts)


def test_a_beginning_that_is_hashed_once_gives_the_same_digests() -> None:
    for first in ("a", "a\x1fb", "\x1b", "\ud800", ""):
        assert Beginning("row", first).digest("3") == digest("row", first, "3")
        assert row_id(first, 3, "mean") == digest("row", first, 3, "mean")[:32]


def test_lone_surrogates_have_ids_too() -> None:
    assert digest("\ud800") != digest("\ud801")
    assert sampling_key(0, "\ud800", 0) != sampling_key(0, "\ud801", 0)


def test_keys_fill_64_signed_bits_and_differ() -> None:
    keys = {
        sampling_key(seed, f"r{row}", sample) for seed in range(4) for row in range(50) for sample in range(4)
    }
    assert len(keys) == 800
    assert all(-(2**63) <= key < 2**63 for key in keys) and min(keys) < 0 < max(keys)


def test_positions_are_those_of_the_published_sampler() -> None:
    candidates = list(range(50, 200))
    published = random.Random(hashlib.sha256(b"7|doc").digest()).sample(candidates, 5)
    assert sample_positions(7, "doc", candidates, 5) == sorted(published)
    assert sample_positions(7, "doc", [4, 9], 5) == [4, 9]
