"""How many positions of each stratum a corpus has, and which share of each a budget allows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

from nla_ray.config.reading.sample import Sample
from nla_ray.corpus.documents.find import file_documents
from nla_ray.corpus.files.checked import checked
from nla_ray.corpus.files.sources import Source
from nla_ray.corpus.reading.reader import Reader
from nla_ray.corpus.reading.sampling import KEYS, Sampler
from nla_ray.errors import ConfigError
from nla_ray.ids import digest
from nla_ray.pipelines.decode.pieces.make import TOLD, Made, Surveyor, reader_for
from nla_ray.pipelines.decode.pieces.piece import to_object

DIGITS = 10
"""Binary digits of a key that are told apart: a stratum gets up to 0.2 % fewer positions than it might."""

MOST = 10_000
"""Strata that a corpus may have."""

Counts = dict[str, Counter[int]]
"""For each stratum how many keys there are, by the bound below which they are: one of few digits."""


@dataclass(frozen=True)
class Strata:
    """Counts the positions of corpus files, as `surveyor` reads them, without rates."""

    surveyor: Surveyor
    how: Sample

    def name(self, source: Source) -> str:
        """What the counts of a file with this stamp are called."""
        how = self.how.model_dump_json(include={"by", "key"})
        return digest("strata", how, self.surveyor.name(source))[:32]

    def __call__(self, source: Source) -> Made:
        """Documents of a file and counts of its positions, as JSON."""
        config, counts, n = self.surveyor.config, Counts(), 0
        with checked(source, whole=config.corpus.limit is None) as (stamped, here):
            reader = reader_for(self.surveyor)
            every = file_documents(here, config.corpus, config.positions.column)
            for _, document in islice(every, config.corpus.limit):
                n += 1
                if isinstance(reader, Reader):
                    sampler = Sampler(self.how, config.seed, reader.special_ids)
                    for stratum, key in reader.strata(document, sampler):
                        counts.setdefault(stratum, Counter())[bound_of(key)] += 1
                if self.surveyor.tick is not None and n % TOLD == 0:
                    self.surveyor.tick(n)
        found = {stratum: sorted(bounds.items()) for stratum, bounds in counts.items()}
        return Made(self.name(stamped), to_object(json.dumps([n, found]).encode()))


def counts_of(content: bytes) -> tuple[int, Counts]:
    """Documents of a file, and its counts."""
    n, found = json.loads(content)
    return n, {stratum: Counter(dict(some)) for stratum, some in found.items()}


def bound_of(key: int) -> int:
    """The least number of few digits that is above a key."""
    shift = max(0, key.bit_length() - DIGITS)
    return ((key >> shift) + 1) << shift


def rates_of(counts: Mapping[str, Counter[int]], vectors: int) -> dict[str, float]:
    """The share of each stratum that is kept, so that there are at most so many vectors.

    Raises ConfigError where not every stratum could have one.
    """
    if not counts:
        return {}
    if max(len(counts), vectors) != vectors or len(counts) > MOST:
        raise ConfigError(
            f"sample: {vectors} vectors for {len(counts)} strata, of which at most {MOST} are allowed and "
            "each needs one; take more vectors, or leave something out of sample.by"
        )
    parts = shares({stratum: some.total() for stratum, some in counts.items()}, vectors)
    return {stratum: _rate(counts[stratum], part) for stratum, part in sorted(parts.items())}


def shares(there: Mapping[str, int], vectors: int) -> dict[str, int]:
    """Equal parts of a budget; what a small stratum leaves goes to the others."""
    parts, left = dict[str, int](), vectors
    for done, (stratum, n) in enumerate(sorted(there.items(), key=lambda one: (one[1], one[0]))):
        parts[stratum] = min(n, left // (len(there) - done))
        left -= parts[stratum]
    return parts


def _rate(bounds: Counter[int], part: int) -> float:
    """The largest bound below which there are at most `part` keys, as a share of all keys."""
    below, bound = 0, 0
    for at, n in sorted(bounds.items()):
        if below + n > part:
            return bound / KEYS
        below, bound = below + n, at
    return 1.0


def added(counts: Iterable[Counts]) -> Counts:
    """Counts of several files together."""
    total = Counts()
    for one in counts:
        for stratum, bounds in one.items():
            total.setdefault(stratum, Counter()).update(bounds)
    return total
