"""What committed reviews say of detectors: precision and recall, agreement, and packs that know of both."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from nla_ray.audit.review.agreement import Agreement, agreement
from nla_ray.audit.review.draw import rule_sha256, sample_of
from nla_ray.audit.review.precision import Judged, Precision, precision_of, together
from nla_ray.config.detectors.model import Detector, Validation
from nla_ray.config.detectors.packs import Packs
from nla_ray.pipelines.review.sittings import Row, verdicts
from nla_ray.store import open_store


def on_rules(rows: Iterable[Row], detectors: Sequence[Detector]) -> list[Row]:
    """Those of the verdicts that are on these detectors as they are now; on others they say nothing."""
    rules = {(one.id, rule_sha256(one)) for one in detectors}
    return [row for row in rows if (row["detector"], row["rule_sha256"]) in rules]


def estimates(rows: Iterable[Row], detectors: Sequence[Detector]) -> dict[str, Precision]:
    """Precision and recall by detector from verdicts on one sample and on the detectors' rules."""
    found: dict[str, list[Judged]] = defaultdict(list)
    for said in _by_item(rows).values():
        row = said[0]
        found[row["detector"]].append(
            Judged(
                hit=row["hit"], detector=row["detector"], stratum=row["stratum"],
                strata=json.loads(row["strata"]), real=row["control"] == "real", family=row["family"],
                verdict=together(one["verdict"] for one in said),
            )
        )  # fmt: skip
    return {one.id: precision_of(one.id, found[one.id]) for one in detectors if one.id in found}


def agreed(rows: Iterable[Row]) -> Agreement:
    """How far reviewers agree on what more than one of them judged."""
    return agreement([[one["verdict"] for one in said] for said in _by_item(rows).values()])


def validation_of(found: Precision, rows: Sequence[Row]) -> Validation:
    """The block `validation` of a detector: what was reviewed, by whom, until when; `rows` as `estimates`."""
    own = [row for row in rows if row["detector"] == found.detector]
    people = ", ".join(sorted({row["reviewer"] for row in own}, key=str.casefold))
    runs = ", ".join(sorted({row["run_id"][:12] for row in own}))
    day = max(row["said_at"] for row in own)[:10]
    items = len({row["hit"] for row in own})
    return found.validation(f"{items} explanations of {runs}, reviewed by {people} until {day}")


def reviewed(packs: Packs, place: str, runs: Mapping[str, str]) -> Packs:
    """The packs with what reviews of these runs (manifests by run), kept at `place`, say; see `informed`."""
    return informed(packs, of_runs(verdicts(open_store(place)), runs))


def informed(packs: Packs, rows: Sequence[Row]) -> Packs:
    """The packs with what verdicts on one sample say of their detectors.

    Where these are on enough hits, or on as many as the pack's own validation, they stand in its place; a
    `test` or `stable` detector that is then wrong more often than right is experimental. Without verdicts
    nothing changes.
    """
    rows = on_rules(rows, packs.detectors)
    found = estimates(rows, packs.detectors)
    return Packs(
        packs=tuple(
            pack.model_copy(
                update={"detectors": tuple(_with(one, found.get(one.id), rows) for one in pack.detectors)}
            )
            for pack in packs.packs
        )
    )


def of_runs(rows: Sequence[Row], runs: Mapping[str, str]) -> list[Row]:
    """The verdicts on exactly these runs; of several samples the one that most was said of."""
    beginning = sample_of(runs, 0).rpartition("-")[0]
    ours = [row for row in rows if row["review_id"].rpartition("-")[0] == beginning]
    times = Counter(row["review_id"] for row in ours)
    chosen = max(times, key=lambda one: (times[one], one), default="")
    return [row for row in ours if row["review_id"] == chosen]


def _with(detector: Detector, found: Precision | None, rows: Sequence[Row]) -> Detector:
    if found is None:
        return detector
    own, said = detector.validation, validation_of(found, rows)
    if not said.enough and own is not None and said.hits < own.hits:
        return detector
    update: dict[str, object] = {"validation": said}
    if said.enough and said.tp < said.fp and detector.status in ("test", "stable"):
        update["status"] = "experimental"
    return detector.model_copy(update=update)


def _by_item(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row["hit"]].append(row)
    return found
