"""Controls: keyed, of the right shape, and never the position's own vector."""

from __future__ import annotations

import numpy as np
import pytest

from nla_ray.config.decode import Controls
from nla_ray.ids import row_id
from nla_ray.stages.controls import Mixer, Place, Query, gaussian

ALL = Controls(shuffled=1, random=1, mean=1, none=1)


def unit(documents: int = 3, positions: int = 4) -> tuple[list[Place], np.ndarray]:
    where = [(f"doc{d}", p) for d in range(documents) for p in range(positions)]
    places = [Place(doc_id, position, index) for index, (doc_id, position) in enumerate(where)]
    vectors = np.random.default_rng(0).standard_normal((len(places), 8)).astype(np.float32)
    return places, vectors * np.arange(1, len(places) + 1, dtype=np.float32)[:, None]


def draw(shares: Controls, seed: int = 0, documents: int = 3) -> list[Query]:
    places, vectors = unit(documents)
    return list(Mixer(places, shares, seed).queries(vectors))


def test_real_rows_come_first_at_each_place() -> None:
    queries = draw(ALL)
    assert [query.control for query in queries[:5]] == ["real", "shuffled", "random", "mean", "none"]
    assert len(queries) == 12 * 5
    assert len({query.row_id for query in queries}) == len(queries)


def test_shuffled_is_another_documents_vector_and_says_whose() -> None:
    places, vectors = unit()
    by_row = {row_id(place.doc_id, place.position, "real"): place for place in places}
    for query in draw(ALL):
        if query.control == "shuffled":
            donor = by_row[str(query.source)]
            assert donor.doc_id != query.place.doc_id
            assert np.array_equal(query.vector, vectors[donor.index])


def test_random_keeps_the_norm_mean_is_the_mean_none_injects_nothing() -> None:
    _, vectors = unit()
    for query in draw(ALL):
        own = vectors[query.place.index]
        if query.control == "random":
            assert np.linalg.norm(query.vector) == pytest.approx(np.linalg.norm(own), rel=1e-5)
            assert abs(float(query.vector @ own)) < 0.95 * float(own @ own)
        elif query.control == "mean":
            assert np.allclose(query.vector, vectors.mean(axis=0), rtol=1e-5)
        assert query.injected == (query.control != "none")


def test_shares_are_kept_and_keyed() -> None:
    few = draw(Controls(shuffled=0, random=0.25), documents=200)
    count = sum(query.control == "random" for query in few)
    assert 150 < count < 250 and {query.control for query in few} == {"real", "random"}
    assert [q.row_id for q in few] == [
        q.row_id for q in draw(Controls(shuffled=0, random=0.25), documents=200)
    ]
    other = draw(Controls(shuffled=0, random=0.25), seed=1, documents=200)
    assert [q.row_id for q in few] != [q.row_id for q in other]


def test_a_lone_document_has_no_shuffled_control() -> None:
    assert {query.control for query in draw(ALL, documents=1)} == {"real", "random", "mean", "none"}


def test_which_rows_there_are_is_known_without_vectors() -> None:
    places, vectors = unit(40)
    mixer = Mixer(places, Controls(shuffled=0.5, random=0.5, mean=0.5, none=0.5), 0)
    planned = list(mixer.planned())
    queries = list(mixer.queries(vectors))
    assert [(one.row_id, one.control, one.place) for one in planned] == [
        (one.row_id, one.control, one.place) for one in queries
    ]
    assert [one.donor is not None for one in planned] == [one.control == "shuffled" for one in planned]
    vectors[:] = np.nan
    assert len(list(mixer.queries(vectors))) == len(planned)


def test_a_broken_vector_does_not_spoil_the_mean() -> None:
    places, vectors = unit()
    vectors[0] = np.nan
    means = [query.vector for query in Mixer(places, ALL, 0).queries(vectors) if query.control == "mean"]
    assert len(means) == len(places) and np.isfinite(means).all()


def test_without_one_sound_vector_the_mean_is_a_row_that_fails() -> None:
    places, vectors = unit()
    vectors[:] = np.inf
    means = [query.vector for query in Mixer(places, ALL, 0).queries(vectors) if query.control == "mean"]
    assert len(means) == len(places) and np.isnan(means).all()


def test_gaussian_is_a_function_of_its_key() -> None:
    like = np.ones(16, np.float32)
    assert np.array_equal(gaussian(like, 1), gaussian(like, 1))
    assert not np.array_equal(gaussian(like, 1), gaussian(like, 2))


def test_a_quarantined_document_lends_its_vector_to_nobody_and_changes_no_other_row() -> None:
    places, vectors = unit(6)
    whole = list(Mixer(places, ALL, 0).queries(vectors))
    quarantined = {place.index for place in places if place.doc_id == "doc2"}
    left = vectors.copy()
    left[sorted(quarantined)] = np.nan
    rows = {row_id(place.doc_id, place.position, "real"): place for place in places}
    kept = changed = 0
    for before, after in zip(whole, Mixer(places, ALL, 0).queries(left), strict=True):
        assert (before.row_id, before.control) == (after.row_id, after.control)
        if before.control != "shuffled" or before.place.doc_id == "doc2":
            continue
        donor = rows[str(after.source)]
        assert donor.doc_id not in ("doc2", after.place.doc_id) and np.isfinite(after.vector).all()
        if rows[str(before.source)].doc_id == "doc2":
            changed += 1
        else:
            kept += 1
            assert before.source == after.source and np.array_equal(before.vector, after.vector)
    assert kept and changed


def test_a_control_without_any_sound_donor_is_a_row_that_fails() -> None:
    places, vectors = unit(2)
    vectors[[place.index for place in places if place.doc_id == "doc1"]] = np.nan
    lone = [q for q in Mixer(places, ALL, 0).queries(vectors) if q.control == "shuffled"]
    mine = [query for query in lone if query.place.doc_id == "doc0"]
    assert len(lone) == len(places) and mine
    assert all(query.source is None and np.isnan(query.vector).all() for query in mine)
