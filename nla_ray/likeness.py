"""Which documents of a corpus are copies of one another: equal texts by hash, nearly equal ones by MinHash.

A signature holds, for each of `HASHES` random hash functions, the least value over a text's sequences of five
words; two texts agree in a share of them that estimates the Jaccard similarity of their sets of sequences
(Broder 1997). Candidates agree in one of `BANDS` bands of four; those that agree enough are near.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from nla_ray.text import normalise

HASHES, BANDS, WORDS = 64, 16, 5
SIGNATURE_BYTES = 4 * HASHES
STEP, _START_BYTES = 4, 6
"""Words between the places at which starts of texts are compared."""

_UINT64 = npt.NDArray[np.uint64]


def plain(text: str) -> str:
    """A text for comparing: without case, hidden characters, and differences in white space."""
    return " ".join(normalise(text).split())


def content_key(text: str) -> str:
    """Hash of a text as `plain` has it (32 hex characters)."""
    return blake2b(plain(text).encode(errors="surrogatepass"), digest_size=16).hexdigest()


def signature(text: str) -> bytes:
    """MinHash of a text, `HASHES` little-endian uint32."""
    words = plain(text).split()
    shingles = {" ".join(words[at : at + WORDS]) for at in range(max(1, len(words) - WORDS + 1))}
    hashes = b"".join(blake2b(one.encode(errors="surrogatepass"), digest_size=8).digest() for one in shingles)
    values = np.frombuffer(hashes, "<u8")
    factors, offsets = _functions()
    # Multiply-shift hashing (Dietzfelbinger 1997): wraps in 64 bits, the upper half is kept.
    mixed = (factors[:, None] * values[None, :] + offsets[:, None]) >> np.uint64(32)
    least: npt.NDArray[np.uint32] = mixed.min(axis=1).astype("<u4")
    return least.tobytes()


def _functions() -> tuple[_UINT64, _UINT64]:
    draw = np.random.default_rng(20050525)
    factors, offsets = draw.integers(0, 2**64, size=(2, HASHES), dtype=np.uint64)
    return factors | np.uint64(1), offsets


class Groups:
    """Disjoint sets over 0..n-1."""

    def __init__(self, n: int) -> None:
        self._parent = np.arange(n)

    def find(self, item: int) -> int:
        """The least member of an item's set."""
        root = item
        while self._parent[root] != root:
            root = int(self._parent[root])
        while self._parent[item] != root:
            self._parent[item], item = root, int(self._parent[item])
        return root

    def join(self, one: int, other: int) -> bool:
        """Make two sets one; False where they were."""
        low, high = sorted((self.find(one), self.find(other)))
        self._parent[high] = low
        return low != high

    def roots(self) -> npt.NDArray[np.int64]:
        """The least member of each item's set."""
        return np.array([self.find(item) for item in range(len(self._parent))], np.int64)


def equal_pairs(keys: Sequence[object]) -> Iterator[tuple[int, int]]:
    """(first, later) of every item whose key was there before."""
    first: dict[object, int] = {}
    for index, key in enumerate(keys):
        before = first.setdefault(key, index)
        if before != index:
            yield before, index


def start_of(text: str) -> bytes:
    """A text of which only a start is known, to compare with longer ones: a hash for each `STEP` words.

    It is a prefix of that of any text with the same start; the last words, fewer than `STEP`, are left out.
    """
    words = plain(text).split()
    parts = [" ".join(words[at : at + STEP]) for at in range(0, max(1, len(words) - STEP + 1), STEP)]
    return b"".join(
        blake2b(one.encode(errors="surrogatepass"), digest_size=_START_BYTES).digest() for one in parts
    )


def start_pairs(starts: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """Pairs of which one, all that is known of it, is how the other begins; time grows as n log n."""
    above: list[int] = []
    for index in sorted(range(len(starts)), key=starts.__getitem__):
        while above and not starts[index].startswith(starts[above[-1]]):
            above.pop()
        if above:
            yield above[-1], index
        above.append(index)


def near_pairs(signatures: npt.NDArray[np.uint32], least: float) -> Iterator[tuple[int, int]]:
    """Pairs of rows of [n, HASHES] that agree in a share of at least `least`.

    In each band, a row is compared with the first one of the same band: time grows as n log n.
    """
    width = HASHES // BANDS
    for band in range(BANDS):
        part = np.ascontiguousarray(signatures[:, band * width : (band + 1) * width])
        keys = part.view(np.dtype((np.void, part.itemsize * width))).ravel()
        _, firsts, groups = np.unique(keys, return_index=True, return_inverse=True)
        representative = firsts[groups]
        later = np.flatnonzero(representative != np.arange(len(keys)))
        agreement = (signatures[later] == signatures[representative[later]]).mean(axis=1)
        for index in later[agreement >= least]:
            yield int(representative[index]), int(index)
