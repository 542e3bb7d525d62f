"""Detectors that are no patterns: an analyst's SQL, nearness to sentences, a language model as judge."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nla_ray.audit.detect.judge import Judge, judged
from nla_ray.audit.detect.patterns import literal
from nla_ray.audit.detect.similarity import near_sentences
from nla_ray.config.detectors.model import Detector, Question
from nla_ray.errors import ConfigError, InputError
from nla_ray.store.sql.query import query

T = TypeVar("T")
Embed = Callable[[Sequence[str]], npt.NDArray[np.float32]]
"""Texts to vectors [N, D] of norm 1."""
FOUND = pa.schema(
    [("run_id", pa.string()), ("row_id", pa.string()), ("sample", pa.int64()), ("span", pa.string())]
)
"""What a detector of another kind than patterns returns; span: quoted from `explanation`, or null."""


@dataclass(frozen=True)
class Helpers:
    """What detectors of some kinds need besides the connection."""

    ask: Callable[[str], pa.Table] | None = None
    """Answers one SELECT over the tables, see `asking`."""
    embed: Embed | None = None
    judge: Judge | None = None


NO_HELPERS = Helpers()
_MISSING = {
    "sql": "a place to ask SQL of",
    "similarity": "an embedding (`embedder` in the configuration)",
    "judge": "a language model (`judge` in the configuration)",
}


def asking(tables: str | Path, runs: Collection[str] | None = None) -> Callable[[str], pa.Table]:
    """Answers SQL over the tables at a folder or `s3://` prefix, in a process that can read nothing else.

    Of other runs than these, if they are named, it reads nothing.
    """

    def ask(sql: str) -> pa.Table:
        with query(tables, sql, runs=runs) as answer:
            return pa.Table.from_batches(answer.batches, answer.schema)

    return ask


def check_helpers(detectors: Iterable[Detector], helpers: Helpers) -> None:
    """Raise ConfigError for a detector without its helper."""
    there = {"sql": helpers.ask, "similarity": helpers.embed, "judge": helpers.judge}
    for one in detectors:
        if one.kind != "patterns":
            _needed(there[one.kind], one)


def find_others(
    connection: duckdb.DuckDBPyConnection, detectors: Iterable[Detector], helpers: Helpers
) -> None:
    """Add to `audit_found` what detectors of other kinds find; take from it what a judge does not confirm.

    Raises ConfigError for a detector without its helper, InputError for an answer of another shape.
    """
    for one in detectors:
        if one.sql is not None:
            ask = _needed(helpers.ask, one)
            _add(connection, one, _shaped(one, _answered(one, one.sql, ask)))
        elif one.similarity is not None:
            embed = _needed(helpers.embed, one)
            _add(connection, one, near_sentences(connection, one.similarity, embed))
        elif one.question is not None:
            judge = _needed(helpers.judge, one)
            _confirm(connection, one, one.question, judge)


def _needed(helper: T | None, detector: Detector) -> T:
    if helper is None:
        raise ConfigError(
            f"detector {detector.id}: kind {detector.kind} needs {_MISSING[detector.kind]}, "
            "which this audit has not; name one, or leave the detector out"
        )
    return helper


def _answered(detector: Detector, sql: str, ask: Callable[[str], pa.Table]) -> pa.Table:
    try:
        return ask(sql)
    except InputError as error:
        raise InputError(f"detector {detector.id}: {error}") from None


def _shaped(detector: Detector, found: pa.Table) -> pa.Table:
    """The answer of an analyst's SQL as rows of `FOUND`."""
    if "span" not in found.column_names:
        found = found.append_column("span", pa.nulls(found.num_rows, pa.string()))
    if missing := [name for name in FOUND.names if name not in found.column_names]:
        raise InputError(
            f"detector {detector.id}: its SQL returns {', '.join(found.column_names)}; "
            f"{missing[0]} is missing (run_id, row_id, sample and, if it likes, span)"
        )
    try:
        return found.select(FOUND.names).cast(FOUND)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(f"detector {detector.id}: its SQL returns other types: {error}") from None


def _add(connection: duckdb.DuckDBPyConnection, detector: Detector, found: pa.Table) -> None:
    """Rows of the population among those found become hits; a span that is not in the text is not quoted."""
    connection.register("audit_others", found)
    connection.execute(f"""
        INSERT INTO audit_found
        SELECT
            run_id, unit_id, row_id, sample, doc_id, position, token, role, flags, control, fve_nrm,
            said, norm, {literal(detector.id)} AS detector, if(contains(said, span), span, said) AS quote,
            strpos(said, quote) - 1 AS before, false AS folded, false AS artefact
        FROM audit_source
        JOIN (SELECT run_id, row_id, sample, any_value(span) AS span FROM audit_others GROUP BY ALL)
        USING (run_id, row_id, sample)
    """)
    connection.unregister("audit_others")


def _confirm(
    connection: duckdb.DuckDBPyConnection, detector: Detector, question: Question, judge: Judge
) -> None:
    """Keep what the judge says YES to, with the span that it quotes."""
    texts = [
        text
        for (text,) in connection.execute(
            "SELECT DISTINCT said FROM audit_found WHERE detector = $id ORDER BY said", {"id": detector.id}
        ).fetchall()
    ]
    verdicts = judged(judge, question.question, texts)
    yes = [(text, one.evidence) for text, one in zip(texts, verdicts, strict=True) if one.verdict == "YES"]
    columns = [list(column) for column in zip(*yes, strict=True)] or [[], []]
    connection.register("audit_yes", pa.table(columns, names=["said", "evidence"]).cast(
        pa.schema([("said", pa.string()), ("evidence", pa.string())])
    ))  # fmt: skip
    connection.execute(
        """
        DELETE FROM audit_found WHERE detector = $id AND said NOT IN (SELECT said FROM audit_yes);
        """,
        {"id": detector.id},
    )
    connection.execute(
        """
        UPDATE audit_found
        SET quote = evidence, before = strpos(audit_found.said, evidence) - 1, folded = false
        FROM audit_yes
        WHERE audit_found.said = audit_yes.said AND detector = $id
        """,
        {"id": detector.id},
    )
    connection.unregister("audit_yes")
