"""One pass over a target for several runs: who asks for the same documents next has what the pass left."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nla_ray.corpus.reading.reader import Reading
from nla_ray.nla.extraction import Extractor
from nla_ray.stages.units.halves import in_halves

Asked = tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]
"""Token ids and positions of every reading: all that vectors of one target follow from."""


def shares_of(layers: Sequence[int]) -> list[float]:
    """What each of several layers bears of one pass up to the deepest: a block is borne by all above it."""
    blocks = range(max(layers) + 1)
    of_block = [1 / sum(layer >= block for layer in layers) for block in blocks]
    return [sum(of_block[: layer + 1]) / len(blocks) for layer in layers]


class OnePass:
    """An extractor that runs share, of all their layers; it remembers the vectors that it made last.

    `seconds` are those of the pass that gave what was asked for last.
    """

    def __init__(self, extractor: Extractor, beside: dict[Path, OnePass] | None = None) -> None:
        """`beside` are those of other models over the same base, known to all of them."""
        self._extractor = extractor
        self._last: tuple[Asked, list[np.ndarray]] | None = None
        self.seconds = 0.0
        self._beside: dict[Path, OnePass] = {} if beside is None else beside

    @property
    def layers(self) -> tuple[int, ...]:
        """Those that every pass gives."""
        return self._extractor.layers

    def beside(self, directory: Path) -> OnePass:
        """That of another model over the same base, one for all runs. Raises as `Extractor.beside` does."""
        if directory not in self._beside:
            self._beside[directory] = OnePass(self._extractor.beside(directory), self._beside)
        return self._beside[directory]

    def vectors(self, layer: int, readings: Sequence[Reading], *, remember: bool) -> list[np.ndarray]:
        """Vectors [n_positions, d] of each reading, where memory runs out by halves.

        With `remember`, those of all layers are kept until the next call (4 d bytes a position and layer).
        """
        asked = tuple((one.token_ids, one.positions) for one in readings)
        last, self._last = self._last, None
        if last is not None and last[0] == asked:
            found = last[1]
        else:
            del last  # The memory of one unit, not of two.
            started = time.perf_counter()
            found = in_halves(self._extract, readings)
            self.seconds = time.perf_counter() - started
        if remember:
            self._last = asked, found
        at = self.layers.index(layer)
        return [one[:, at] for one in found]

    def _extract(self, readings: Sequence[Reading]) -> list[np.ndarray]:
        return self._extractor.extract(
            [one.token_ids for one in readings], [one.positions for one in readings]
        )
