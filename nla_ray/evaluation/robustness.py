"""The reconstructor on edited texts, and on own vectors among distractors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nla_ray.evaluation.edits import RULES, SHARES, Rule, keep_words
from nla_ray.evaluation.fidelity import Baselines
from nla_ray.evaluation.intervals import Documents
from nla_ray.evaluation.model import Choice, Edit, Length, Robustness
from nla_ray.evaluation.rows import Floats, Ints, Rows
from nla_ray.ids import digest
from nla_ray.nla.reconstruction import fidelity

Rebuild = Callable[[Sequence[str]], npt.NDArray[np.float32]]
"""Texts to the vectors that they describe [n, d]."""

DRAWN = 8
"""Distractors of other documents, drawn for every text."""


@dataclass(frozen=True)
class Texts:
    """Explanations that are edited, one answer a vector; `vectors` [n, d] are their own."""

    rows: Rows
    vectors: npt.NDArray[np.float32]
    rebuilt: npt.NDArray[np.float32]
    """From the unedited texts [n, d]."""
    seed: int


def choose(real: Rows, most: int, seed: int) -> Rows:
    """Of every vector its first answer with a text; of these at most so many, drawn by key."""
    readable = np.flatnonzero(real.readable())
    first: dict[str, int] = {}
    for at in readable.tolist():
        first.setdefault(real.row_id[at], at)
    drawn = sorted(first, key=lambda row: digest("edited", seed, row))[:most]
    return real.take(np.array(sorted(first[row] for row in drawn), np.int64))


def robustness(texts: Texts, rebuild: Rebuild, documents: Documents, baselines: Baselines) -> Robustness:
    """All edits and lengths, each a pass of the reconstructor over its distinct texts."""
    whole = texts.rows.text.tolist()
    cos = fidelity.cos(texts.vectors, texts.rebuilt)
    intact = _fve(cos, baselines)

    def read(made: Sequence[str]) -> Floats:
        distinct = list(dict.fromkeys(made))
        vectors = dict(zip(distinct, rebuild(distinct), strict=True)) if distinct else {}
        return np.array([vectors[text] for text in made]) if made else np.empty((0, texts.vectors.shape[1]))

    edits = [_edit(rule, texts, intact, read, documents, baselines) for rule in RULES]
    lengths = []
    for share in SHARES:
        cut = [keep_words(text, share) for text in whole]
        fve = intact if share == 1 else _fve(fidelity.cos(texts.vectors, read(cut)), baselines)
        words = float(np.mean([len(text.split()) for text in cut])) if cut else 0.0
        lengths.append(Length(share=share, words=words, fve_nrm=documents.mean(texts.rows.document, fve)))
    return Robustness(
        texts=len(whole),
        intact=documents.mean(texts.rows.document, intact),
        largest_difference=float(np.abs(cos - texts.rows.cos).max()) if whole else None,
        edits=tuple(edits),
        lengths=tuple(lengths),
    )


def _edit(
    rule: Rule,
    texts: Texts,
    intact: Floats,
    read: Callable[[Sequence[str]], Floats],
    documents: Documents,
    baselines: Baselines,
) -> Edit:
    rows = texts.rows
    made = [
        rule.apply(text, digest(rule.name, texts.seed, row))
        for text, row in zip(rows.text, rows.row_id, strict=True)
    ]
    changed = np.array(
        [at for at, (ours, text) in enumerate(zip(made, rows.text, strict=True)) if ours != text], np.int64
    )
    rebuilt = read([made[at] for at in changed])
    edited = _fve(fidelity.cos(texts.vectors[changed], rebuilt), baselines)
    document = rows.document[changed]
    return Edit(
        name=rule.name,
        about=rule.about,
        texts=len(rows),
        changed=len(changed),
        intact=documents.mean(document, intact[changed]),
        edited=documents.mean(document, edited),
        change=documents.mean(document, edited - intact[changed]),
    )


def _fve(cos: Floats, baselines: Baselines) -> Floats:
    return fidelity.fve_nrm(2.0 * (1.0 - cos), baselines.stated)


def distractors(texts: Texts, places: Rows, vectors: Floats, documents: Documents) -> tuple[Choice, ...]:
    """How often the reconstruction of a text is closer to its own vector than to another [places].

    `places` has one row per vector, `vectors` [places, d] are theirs. A tie is half a win. Of the own
    document all other positions are distractors, of other documents `DRAWN`, by key.
    """
    unit = fidelity.unit(vectors)
    towards = fidelity.unit(texts.rebuilt)
    own = fidelity.cos(texts.vectors, texts.rebuilt)
    at_of = {
        document: np.flatnonzero(places.document == document) for document in set(places.document.tolist())
    }
    same, other = np.full(len(own), np.nan), np.full(len(own), np.nan)
    for at, (document, row) in enumerate(zip(texts.rows.document.tolist(), texts.rows.row_id, strict=True)):
        beside = at_of[document][places.row_id[at_of[document]] != row]
        same[at] = _wins(own[at], unit[beside] @ towards[at])
        drawn = _drawn(texts.seed, row, places, document)
        other[at] = _wins(own[at], unit[drawn] @ towards[at])
    document = texts.rows.document
    found = (
        Choice(distractors="same document", share=documents.mean(document, same)),
        Choice(distractors="other documents", share=documents.mean(document, other)),
    )
    return tuple(one for one in found if one.share.rows)


def _wins(own: float, others: Floats) -> float:
    """Share of the others that the own one is above, to within rounding; NaN without others."""
    if not len(others):
        return float("nan")
    apart = own - others
    return float(((apart > 1e-9) + 0.5 * (np.abs(apart) <= 1e-9)).mean())


def _drawn(seed: int, row: str, places: Rows, document: int) -> Ints:
    """Up to `DRAWN` places of other documents."""
    rng = np.random.default_rng(int(digest("distractor", seed, row)[:16], 16))
    drawn = rng.choice(len(places), min(2 * DRAWN, len(places)), replace=False)
    return np.asarray(drawn[places.document[drawn] != document][:DRAWN], np.int64)
