"""Which explanations are drawn for review: a keyed sample of hits, of near misses and of the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import duckdb
from pydantic import ValidationError

from nla_ray.audit.detect.anchors import Vocabulary
from nla_ray.audit.detect.hits import find_hits
from nla_ray.audit.detect.matching import vocabulary_of
from nla_ray.audit.detect.others import Helpers
from nla_ray.audit.detect.patterns import Filter, literal
from nla_ray.audit.detect.scope import scope_sql
from nla_ray.audit.detect.structure import DECISIVE
from nla_ray.audit.review.labels import hit_id
from nla_ray.config.detectors.model import Detection, Detector, Group
from nla_ray.config.detectors.packs import Packs
from nla_ray.ids import digest

Stratum = Literal["hit", "set aside", "vocabulary", "elsewhere"]
STRATA: tuple[Stratum, ...] = get_args(Stratum)
"""hit: the detector counts it. set aside: its patterns match if nothing is excluded, denied, quoted or an
artefact, or a sentence is nearly near enough. vocabulary: it holds a word without which no pattern matches.
elsewhere: every other explanation in scope."""
NEAR_MISSES: tuple[Stratum, ...] = ("set aside", "vocabulary")
SHARES: Mapping[Stratum, float] = {"hit": 1.0, "set aside": 0.4, "vocabulary": 0.4, "elsewhere": 0.2}
"""Of the hits that are asked for; a near miss is drawn for each hit."""
CONTROLS_TOO = 0.2
"""So much more of each is drawn among control rows: a reviewer cannot tell them from real ones."""
NEARLY = 0.1
"""By so much less cosine a sentence is a near miss."""


@dataclass(frozen=True)
class Item:
    """An explanation, and a detector's claim that it makes or does not make."""

    hit: str
    detector: str
    rule_sha256: str
    audited_run: str
    row_id: str
    sample: int
    doc_id: str
    family: str
    control: str
    stratum: str
    strata: str
    """How many explanations each stratum has among those of its kind, real or control, as JSON."""
    text: str


def sample_of(runs: Mapping[str, str], seed: int) -> str:
    """Id of a sample; `runs` are the digests of the manifests by run."""
    return f"{digest('review', *sorted(runs.values()))[:24]}-{seed}"


def rule_sha256(detector: Detector) -> str:
    """Digest of what decides on hits and of what reviewers are asked: verdicts hold for this alone.

    Of patterns it is also how they are written as expressions, and what counts as a claim.
    """
    asked = {"title", "description"}
    decides = {"detection", "sql", "similarity", "question", "scope"}
    code = () if detector.detection is None else (*DECISIVE, *detector.detection.quotable())
    return digest("rule", detector.model_dump_json(include=asked | decides), *code)[:32]


def note_near_misses(
    connection: duckdb.DuckDBPyConnection, packs: Packs, run_ids: Sequence[str], helpers: Helpers
) -> None:
    """Make `review_loose` (detector, run_id, row_id, sample): what a looser form of each detector matches."""
    loose = Packs(
        packs=tuple(
            pack.model_copy(update={"detectors": tuple(loosened(one) for one in pack.detectors)})
            for pack in packs.packs
        )
    )
    find_hits(connection, loose, run_ids, helpers)
    connection.execute(
        "CREATE OR REPLACE TABLE review_loose AS SELECT DISTINCT detector, run_id, row_id, sample FROM hits"
    )


def loosened(detector: Detector) -> Detector:
    """The detector without what sets a match aside, and without its judge.

    One by SQL stays as it is, and so do patterns whose looser form is too large for a detector.
    """
    if detector.similarity is not None:
        least = max(0.01, detector.similarity.minimum_cosine - NEARLY)
        similarity = detector.similarity.model_copy(update={"minimum_cosine": least})
        return detector.model_copy(update={"similarity": similarity})
    if detector.detection is None:
        return detector
    try:
        loose = _loose(detector.detection)
    except ValidationError:
        loose = detector.detection
    return detector.model_copy(update={"detection": loose, "question": None})


def _loose(detection: Detection) -> Detection:
    asserted = detection.term().asserted()
    parts = [
        Group(any=some, near=near, whole_words=group.whole_words)
        for name, group in detection.groups.items()
        if name in asserted
        for some, near in ((group.any, group.near), (group.all, ()))
        if some or near
    ]
    groups = {f"g{at}": part for at, part in enumerate(parts)}
    return Detection(groups=groups, reads="all", denied=True, case=detection.case)


def draw(
    connection: duckdb.DuckDBPyConnection,
    detectors: Sequence[Detector],
    review_id: str,
    each: int,
) -> list[Item]:
    """`each` hits of every detector, as many others, and some control rows; in an order by key.

    The connection has been searched: `population`, `hits`, `audit_about` and `review_loose` are there. Any
    beginning of the order is a random sample of every stratum, and a larger sample begins with a smaller one.
    """
    words = vocabulary_of(connection, "(SELECT explanation_norm AS norm FROM population)")
    found = [item for one in detectors for item in _of_detector(connection, one, words, review_id, each)]
    return sorted(found, key=lambda item: digest("order", item.hit))


def _of_detector(
    connection: duckdb.DuckDBPyConnection, detector: Detector, words: Vocabulary, review_id: str, each: int
) -> list[Item]:
    rule = rule_sha256(detector)
    rows = connection.execute(
        _drawn(detector, _holds_a_word(detector, words)),
        {"detector": detector.id, "key": f"{review_id} {rule} "}
        | {f"most{at}": round(each * SHARES[name]) for at, name in enumerate(STRATA)},
    ).fetchall()
    return [
        Item(hit_id(review_id, f"{detector.id} {rule}", f"{run} {row}", sample), detector.id, rule,
             run, row, sample, *rest)
        for run, row, sample, *rest in rows
    ]  # fmt: skip


def _holds_a_word(detector: Detector, words: Vocabulary) -> str:
    """SQL that says whether a text holds a word of the detector's patterns."""
    if detector.detection is None:
        return "false"
    return Filter.of({detector.id: detector.detection}, words).passes("explanation_norm")


def _drawn(detector: Detector, vocabulary: str) -> str:
    """SQL of the drawn rows of a detector."""
    most = " ".join(f"WHEN {literal(name)} THEN $most{at}" for at, name in enumerate(STRATA))
    return f"""
        WITH said AS MATERIALIZED (
            SELECT
                run_id, row_id, sample, doc_id, control = 'real' AS real,
                CASE
                    WHEN found.artefact IS NOT DISTINCT FROM false THEN 'hit'
                    WHEN found.artefact OR loose.detector IS NOT NULL THEN 'set aside'
                    WHEN {vocabulary} THEN 'vocabulary'
                    ELSE 'elsewhere'
                END AS stratum
            FROM population AS of
            LEFT JOIN (
                SELECT run_id, row_id, sample, bool_and(artefact) AS artefact
                FROM hits WHERE detector = $detector GROUP BY ALL
            ) AS found USING (run_id, row_id, sample)
            LEFT JOIN (FROM review_loose WHERE detector = $detector) AS loose USING (run_id, row_id, sample)
            WHERE {scope_sql(detector.scope)} AND regexp_matches(explanation_norm, '\\S')
        ), ordered AS (
            SELECT
                *, row_number() OVER (
                    PARTITION BY stratum, real ORDER BY md5($key || run_id || ' ' || row_id || ' ' || sample)
                ) AS place
            FROM said
        ), sizes AS (
            SELECT real, to_json(map_from_entries(list((stratum, n) ORDER BY stratum)))::VARCHAR AS strata
            FROM (SELECT stratum, real, count(*) AS n FROM said GROUP BY ALL)
            GROUP BY real
        )
        SELECT
            of.run_id, of.row_id, of.sample, of.doc_id,
            coalesce(family::VARCHAR, of.run_id || ' ' || of.doc_id),
            of.control, ordered.stratum, strata, explanation
        FROM ordered
        JOIN population AS of USING (run_id, row_id, sample)
        JOIN sizes USING (real)
        LEFT JOIN audit_about AS about ON about.run_id = of.run_id AND about.doc_id = of.doc_id
        WHERE place <= CASE ordered.stratum {most} END * if(real, 1, {CONTROLS_TOO})
        ORDER BY ordered.stratum, place
    """
