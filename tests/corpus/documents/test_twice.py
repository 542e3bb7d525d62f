"""Ids that are used twice: the same answer as one set of all of them would give."""

from __future__ import annotations

import random
import tracemalloc

import pytest

from nla_ray.corpus.documents import twice
from nla_ray.corpus.documents.document import Document, unusable
from nla_ray.corpus.documents.find import key_of
from nla_ray.corpus.documents.twice import Twice


def key(doc_id: str) -> bytes:
    return key_of(Document(doc_id, ""))


@pytest.mark.parametrize("seed", range(30))
def test_each_names_the_first_that_has_its_id(seed: int) -> None:
    rng = random.Random(seed)
    n = rng.randrange(1, 80)
    # What cannot be used goes by its place from then on, which may be another document's id.
    names = [rng.choice([f"d{rng.randrange(20)}", f"p{rng.randrange(n)}"]) for _ in range(n)]
    seen, wanted = dict[str, int](), dict[int, int]()
    for number, name in enumerate(names):
        first = seen.setdefault(name, number)
        if first != number:
            wanted[number] = first
            seen.setdefault(f"p{number}", number)
    with Twice() as found:
        cut = rng.randrange(n + 1)
        found.add([key(name) for name in names[:cut]])
        found.add([key(name) for name in names[cut:]])
        assert found.found(lambda new: [key_of(unusable(f"p{at}", "")) for at in new]) == wanted


def test_memory_does_not_grow_with_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twice, "_SPOOL_BYTES", 1024)
    some = [key(str(number)) for number in range(1000)]
    peaks = []
    for times in (20, 200):
        with Twice() as found:
            tracemalloc.start()
            for number in range(times):
                found.add([number.to_bytes(2, "big") + one[2:] for one in some])
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
