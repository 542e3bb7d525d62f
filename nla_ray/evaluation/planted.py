"""How often explanations name what the corpus says of its documents, and are right, with intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np

from nla_ray.evaluation.intervals import Documents
from nla_ray.evaluation.model import Agreement, Planted
from nla_ray.evaluation.rows import UNKNOWN, Rows
from nla_ray.evaluation.truth import Judged, Vocabulary, score
from nla_ray.tables import CONTROLS, REAL


def planted(rows: Rows, documents: Documents, vocabulary: Vocabulary) -> tuple[Planted, ...]:
    """Recall and precision by control and property; nothing where no row has a truth."""
    found: list[Planted] = []
    for control in (REAL, *CONTROLS):
        at, said = judged_rows(rows.of(control), vocabulary)
        if said:
            found += _scores(control, at, said, documents, vocabulary)
    return tuple(found)


def judged_rows(rows: Rows, vocabulary: Vocabulary) -> tuple[np.ndarray, list[Judged]]:
    """What rows name beside their truth, and their documents' indices; those without truth are left out."""
    document, found = [], []
    for at in range(len(rows)):
        position = None if rows.position[at] == UNKNOWN else int(rows.position[at])
        one = vocabulary.judged(position, rows.text[at], rows.meta[at])
        if one is not None:
            document.append(int(rows.document[at]))
            found.append(one)
    return np.array(document, np.int64), found


def _scores(
    control: str, document: np.ndarray, said: list[Judged], documents: Documents, vocabulary: Vocabulary
) -> list[Planted]:
    def mask(holds: Callable[[Judged], bool]) -> np.ndarray:
        return np.array([holds(one) for one in said], bool)

    made = []
    for asked, scored in zip(vocabulary.asked(), score(said, vocabulary), strict=True):
        where, claims, right = mask(asked.counts), mask(asked.claimed), mask(asked.right)
        made.append(
            Planted(
                control=control,
                prop=asked.name,
                recall=documents.share(document[where], right[where]),
                precision=documents.share(document[claims], right[claims]),
                chance=scored.chance,
            )
        )
    return made


def agreement(
    real: Rows, samples: int, documents: Documents, vocabulary: Vocabulary
) -> tuple[Agreement, ...]:
    """How many of the claims that m of a vector's answers make are true, for vectors with every answer."""
    groups: dict[str, list[int]] = {}
    for at, row in enumerate(real.row_id):
        groups.setdefault(row, []).append(at)
    document: list[int] = []
    times: list[int] = []
    true: list[bool] = []
    for group in groups.values():
        documents_of, said = judged_rows(real.take(np.array(group, np.int64)), vocabulary)
        if len(said) < samples:
            continue
        claims = Counter(claim for one in said for claim in one.named.items())
        for (prop, value), n in sorted(claims.items()):
            document.append(int(documents_of[0]))
            times.append(n)
            true.append(said[0].truth[prop] == value)
    where, counts, holds = np.array(document, np.int64), np.array(times, np.int64), np.array(true, bool)
    return tuple(
        Agreement(samples=n, true=documents.share(where[counts == n], holds[counts == n]))
        for n in range(1, samples + 1)
        if samples > 1 and (counts == n).any()
    )
