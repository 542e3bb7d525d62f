"""Where the corpus carries the demo world's truth: how often explanations name it, and are right."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np

from nla_ray.demo.score import PLAIN, Judged, judged, score
from nla_ray.demo.world import safety_properties
from nla_ray.evaluation.intervals import Documents
from nla_ray.evaluation.model import Agreement, Planted
from nla_ray.evaluation.rows import UNKNOWN, Rows
from nla_ray.tables import CONTROLS, REAL

KEYS = {*PLAIN, "safety"}


def planted(rows: Rows, documents: Documents) -> tuple[Planted, ...]:
    """Recall and precision by control and property; nothing where no row has a truth."""
    found: list[Planted] = []
    for control in (REAL, *CONTROLS):
        at, said = judged_rows(rows.of(control))
        if said:
            found += _scores(control, at, said, documents)
    return tuple(found)


def judged_rows(rows: Rows) -> tuple[np.ndarray, list[Judged]]:
    """What rows name beside their truth, and their documents' indices; those without truth are left out."""
    document, found = [], []
    for at in range(len(rows)):
        if rows.position[at] == UNKNOWN or not _has_truth(rows.meta[at]):
            continue
        one = judged(int(rows.position[at]), rows.text[at], rows.meta[at])
        if one is not None:
            document.append(int(rows.document[at]))
            found.append(one)
    return np.array(document, np.int64), found


def _has_truth(meta: str | None) -> bool:
    """Whether a column `truth` is there and is the demo world's; any corpus may have one of that name."""
    truth = json.loads(meta or "{}").get("truth")
    return isinstance(truth, dict) and isinstance(truth.get("shown"), dict) and truth.keys() >= KEYS


def _scores(control: str, document: np.ndarray, said: list[Judged], documents: Documents) -> list[Planted]:
    chance = {one.prop: one.chance for one in score(said)}
    made = []
    for name in (*PLAIN, *safety_properties()):
        prop = name if name in PLAIN else "safety"
        named = np.array([one.named.get(prop) or "" for one in said], object)
        truth = np.array([one.truth[prop] for one in said], object)
        shown = np.array([prop in one.shown for one in said])
        where = shown if prop == name else shown & (truth == name)
        claims = named != "" if prop == name else named == name
        made.append(
            Planted(
                control=control,
                prop=name,
                recall=documents.share(document[where], (named == truth)[where]),
                precision=documents.share(document[claims], (named == truth)[claims]),
                chance=chance[name],
            )
        )
    return made


def agreement(real: Rows, samples: int, documents: Documents) -> tuple[Agreement, ...]:
    """How many of the claims that m of a vector's answers make are true, for vectors with every answer."""
    groups: dict[str, list[int]] = {}
    for at, row in enumerate(real.row_id):
        groups.setdefault(row, []).append(at)
    document: list[int] = []
    times: list[int] = []
    true: list[bool] = []
    for group in groups.values():
        documents_of, said = judged_rows(real.take(np.array(group, np.int64)))
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
