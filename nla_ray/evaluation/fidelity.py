"""Fidelity and parse quality of the real rows and of each control, by buckets, and the verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from nla_ray.evaluation.intervals import Documents
from nla_ray.evaluation.model import Bucket, Buckets, Distribution, Judgement, Measured, Verdict
from nla_ray.evaluation.rows import UNKNOWN, Floats, Mask, Rows
from nla_ray.nla.reconstruction import fidelity
from nla_ray.tables import CONTROLS, OUTCOMES, REAL

QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
EDGES = tuple(round(-2 + 0.1 * i, 1) for i in range(31))
"""Of the histogram of `fve_nrm`."""
FIRST_BUCKET = 16
"""Positions under this are one bucket; the buckets after it double."""
NORM_BUCKETS = 5


@dataclass(frozen=True)
class Baselines:
    """Denominators: the one of `fve_nrm`, and those over the evaluated vectors themselves."""

    stated: fidelity.Baseline
    own: fidelity.Baseline
    meannorm: fidelity.Baseline


def measure(rows: Rows, documents: Documents, baselines: Baselines) -> tuple[Measured, ...]:
    """The real rows, then every control that there is."""
    names = [name for name in (REAL, *CONTROLS) if (rows.control == name).any()]
    real = rows.of(REAL)
    return tuple(_measured(rows.of(name), name, real, documents, baselines) for name in names)


def fve_of(rows: Rows, baselines: Baselines) -> Floats:
    """`fve_nrm` [rows]; NaN without a text or a direction."""
    return np.where(rows.readable(), fidelity.fve_nrm(rows.mse, baselines.stated), np.nan)


def _measured(rows: Rows, name: str, real: Rows, documents: Documents, baselines: Baselines) -> Measured:
    readable = rows.readable()
    fve = fve_of(rows, baselines)
    mse = float(rows.mse[readable].mean()) if readable.any() else None
    texts = rows.text[rows.text != ""]
    return Measured(
        control=name,
        rows=len(rows),
        documents=len(set(rows.document.tolist())),
        outcomes={
            outcome: documents.share(rows.document, rows.outcome == outcome)
            for outcome in OUTCOMES
            if outcome == OUTCOMES[0] or (rows.outcome == outcome).any()
        },
        flags=dict(sorted(Counter(flag for flags in rows.flags for flag in flags).items())),
        fve_nrm=documents.mean(rows.document, fve),
        fve_nrm_of_documents=_mean_of_documents(rows, fve),
        fve_nrm_own=_fve(mse, baselines.own),
        fve_nrm_meannorm=_fve(mse, baselines.meannorm),
        cos=float(rows.cos[readable].mean()) if readable.any() else None,
        mse_nrm=mse,
        distribution=_distribution(fve[readable]) if readable.any() else None,
        real_minus_this=None
        if name == REAL
        else documents.difference((real.document, fve_of(real, baselines)), (rows.document, fve)),
        tokens=_tokens(rows),
        words=float(np.mean([len(text.split()) for text in texts])) if len(texts) else None,
    )


def _mean_of_documents(rows: Rows, fve: Floats) -> float | None:
    there = np.isfinite(fve)
    counts = np.bincount(rows.document[there])
    sums = np.bincount(rows.document[there], weights=fve[there])
    return float((sums[counts > 0] / counts[counts > 0]).mean()) if there.any() else None


def _fve(mse: float | None, baseline: fidelity.Baseline) -> float | None:
    found = float("nan") if mse is None else float(fidelity.fve_nrm(mse, baseline))
    return found if np.isfinite(found) else None


def _distribution(fve: Floats) -> Distribution:
    counts = np.histogram(np.clip(fve, EDGES[0], EDGES[-1]), EDGES)[0]
    quantiles = dict(zip(map(str, QUANTILES), np.quantile(fve, QUANTILES).tolist(), strict=True))
    return Distribution(quantiles=quantiles, histogram=tuple(counts.tolist()))


def _tokens(rows: Rows) -> dict[str, float]:
    made = rows.tokens[rows.outcome != "failed"]
    if not len(made):
        return {}
    points = (0.05, 0.5, 0.95)
    return {"mean": float(made.mean())} | dict(
        zip(map(str, points), np.quantile(made, points).tolist(), strict=True)
    )


def judge(
    measured: Sequence[Measured], minimum_documents: int
) -> tuple[tuple[Measured, ...], Verdict, tuple[str, ...]]:
    """Each control with its judgement, the verdict and its reasons.

    broken: the interval of real minus some control reaches 0 or below, or real answers have no text to
    score. A control of enough documents without enough texts is nothing to beat. Anything else that keeps one
    of the four controls from being compared is insufficient evidence.
    """
    real = next((one for one in measured if one.control == REAL), None)
    if real is None or real.documents < minimum_documents:
        n = 0 if real is None else real.documents
        why = f"{n} documents were decoded; {minimum_documents} are needed."
        return tuple(measured), "insufficient evidence", (why,)
    if real.fve_nrm.documents < minimum_documents:
        why = (
            f"Only {real.fve_nrm.documents} of {real.documents} documents have an explanation with a "
            f"fidelity; {minimum_documents} are needed."
        )
        return tuple(measured), "broken", (why,)
    judged = tuple(
        one
        if one.control == REAL
        else one.model_copy(update={"judgement": _judgement(one, minimum_documents)})
        for one in measured
    )
    by_name: dict[str, Measured] = {one.control: one for one in judged}
    failed = [one for one in judged if one.judgement == "not beaten"]
    lacking = [
        name for name in CONTROLS if name not in by_name or by_name[name].judgement == "too few documents"
    ]
    reasons = tuple(_reason(name, by_name.get(name), minimum_documents) for name in CONTROLS)
    if real.fve_nrm.high is not None and real.fve_nrm.high < 0:
        reasons = ("real: fve_nrm is below 0: the mean activation would be a better guess.", *reasons)
    verdict: Verdict = "broken" if failed else "insufficient evidence" if lacking else "above controls"
    return judged, verdict, reasons


def _judgement(one: Measured, minimum_documents: int) -> Judgement:
    if one.documents < minimum_documents:
        return "too few documents"
    lift = one.real_minus_this
    if lift is None or one.fve_nrm.documents < minimum_documents:
        return "no text"
    return "beaten" if lift.low is not None and lift.low > 0 else "not beaten"


def _reason(name: str, one: Measured | None, minimum_documents: int) -> str:
    if one is None:
        return f"{name}: was not decoded; give it a share in `controls`."
    if one.judgement == "too few documents":
        return (
            f"{name}: {one.documents} documents, {minimum_documents} are needed; decode more documents, or "
            f"raise controls.{name}."
        )
    if one.judgement == "no text":
        return f"{name}: nothing to beat; {one.fve_nrm.rows} of {one.rows} answers have a text to score."
    lift = one.real_minus_this
    if lift is None or lift.mean is None or lift.low is None or lift.high is None:
        return f"{name}: could not be compared."
    word = "real lies above it" if one.judgement == "beaten" else "real does not lie above it"
    return f"{name}: {word}, {lift.mean:+.3f} fve_nrm (95 % interval {lift.low:+.3f} to {lift.high:+.3f})."


def buckets(rows: Rows, documents: Documents, baselines: Baselines) -> tuple[Buckets, ...]:
    """`fve_nrm` of real rows [rows] by position, norm and token class, where that tells some apart."""
    fve = fve_of(rows, baselines)

    def bucket(name: str, where: Mask) -> Bucket:
        return Bucket(name=name, fve_nrm=documents.mean(rows.document[where], fve[where]))

    by_position = tuple(bucket(*one) for one in _position_buckets(rows))
    by_norm = tuple(bucket(*one) for one in _norm_buckets(rows))
    by_kind = tuple(bucket(kind, rows.kind == kind) for kind in sorted(set(rows.kind[fve == fve])))
    found = (
        Buckets(by="position", about="token index in the document; widths double", buckets=by_position),
        Buckets(by="norm", about="L2 norm of the vector; fifths of the evaluated vectors", buckets=by_norm),
        Buckets(by="token class", about="the token at the position, as its text shows", buckets=by_kind),
    )
    return tuple(one for one in found if len(one.buckets) > 1)


def _position_buckets(rows: Rows) -> list[tuple[str, Mask]]:
    known = rows.position[rows.position != UNKNOWN]
    starts = [0]
    while len(known) and (edge := max(FIRST_BUCKET, 2 * starts[-1])) <= known.max():
        starts.append(edge)
    ends = [*starts[1:], max(FIRST_BUCKET, 2 * starts[-1])]
    found = [
        (f"{start} to {end - 1}", (rows.position >= start) & (rows.position < end))
        for start, end in zip(starts, ends, strict=True)
    ]
    return [one for one in found if one[1].any()]


def _norm_buckets(rows: Rows) -> list[tuple[str, Mask]]:
    """Fifths of the vectors: each counts once, however many answers it has."""
    known = np.isfinite(rows.norm) & (rows.sample == 0)
    if not known.any():
        return []
    edges = np.unique(np.quantile(rows.norm[known], np.linspace(0, 1, NORM_BUCKETS + 1)))
    at = np.clip(np.searchsorted(edges, rows.norm, side="right") - 1, 0, max(len(edges) - 2, 0))
    return [
        (f"{low:.4g} to {high:.4g}", np.isfinite(rows.norm) & (at == index))
        for index, (low, high) in enumerate(pairwise(edges.tolist()))
    ]
