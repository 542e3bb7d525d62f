"""Gates: what must hold before an audit's numbers mean anything, and what the populations look like."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import duckdb
import numpy as np

from nla_ray.audit.report.model import Gate, Part, Population, ReportVerdict
from nla_ray.audit.tally import Tally
from nla_ray.audit.verdicts.measured import INSUFFICIENT
from nla_ray.audit.verdicts.rates import Rated
from nla_ray.config.audit import Evidence, Gates
from nla_ray.config.models.injection import PROVEN_FROM
from nla_ray.intervals import clustered_mean
from nla_ray.tables import CONTROLS, REAL

ORDER = (REAL, *CONTROLS, "benign")


def populations(connection: duckdb.DuckDBPyConnection, tally: Tally) -> tuple[Population, ...]:
    """What was searched of one run, by kind: counts, fidelity by document, parse quality."""
    shares = {
        control: (closed, cjk)
        for control, closed, cjk in connection.execute(
            "SELECT rows.control, avg((NOT closed)::INTEGER), avg(list_contains(flags, 'cjk')::INTEGER) "
            "FROM audit_rows AS rows JOIN all_explanations USING (run_id, row_id, sample) "
            "WHERE run_id = $run AND scope = 0 GROUP BY ALL",
            {"run": tally.run_id},
        ).fetchall()
    }
    made = []
    for name in (name for name in ORDER if name in tally.populations):
        found = tally.populations[name]
        known = ~np.isnan(found.fve)
        fve = found.fve[known]
        low, high = clustered_mean(fve, found.families[known])
        bounded = np.isfinite(low)
        unclosed, cjk = shares.get(name, (None, None))
        made.append(
            Population(
                name=name, documents=len(found), rows=int(found.rows.sum()),
                fve=float(fve.mean()) if len(fve) else None,
                fve_low=low if bounded else None, fve_high=high if bounded else None,
                unclosed=unclosed, cjk=cjk,
            )
        )  # fmt: skip
    return tuple(made)


def gates_of(
    run_id: str,
    found: Sequence[Population],
    gates: Gates,
    rule: Evidence,
    parts: Sequence[Part] = (),
    *,
    controls: bool = True,
) -> tuple[Gate, ...]:
    """The gates of one run, without `controls` only those of real rows; `parts` say what `found` lacks."""
    by_name = {one.name: one for one in found}
    real = by_name.get(REAL)
    beside = [by_name[name] for name in CONTROLS if controls and name in by_name]
    return (
        _enough_documents(run_id, real, rule),
        _fidelity(run_id, real, gates, _without(parts)),
        *_transfer(run_id, real, gates, _without(parts)),
        _share(run_id, "unclosed", real.unclosed if real else None, gates.unclosed,
               "answers without their closing tag",
               "Unclosed answers were cut off; more of them mean that the verbalizer does not work here."),
        _share(run_id, "cjk", real.cjk if real else None, gates.cjk,
               "answers in Chinese, Japanese or Korean script",
               "A verbalizer that leaves its language has left what it was trained for."),
        *(_control_documents(run_id, name, by_name, rule) for name in rule.controls if controls),
        *(_control_fidelity(run_id, control, gates) for control in beside),
    )  # fmt: skip


def _enough_documents(run_id: str, real: Population | None, rule: Evidence) -> Gate:
    n = 0 if real is None else real.documents
    return Gate(
        id="documents", title="documents that were searched", run_id=run_id, value=n, relation=">=",
        threshold=rule.minimum_documents, unit="count", passed=n >= rule.minimum_documents or None,
        why="Documents are what rates count; of few of them little can be said.",
    )  # fmt: skip


def _without(parts: Sequence[Part]) -> str:
    """A sentence on what is in no number; empty where everything is."""
    left = [f"{one.kind} {one.name}" for one in parts if one.left_out]
    return f" Taken without what was left out of every number: {', '.join(left)}." if left else ""


def _fidelity(run_id: str, real: Population | None, gates: Gates, without: str) -> Gate:
    low = None if real is None else real.fve_low
    return Gate(
        id="fidelity", title="fidelity of the audited population, lower end of its interval", run_id=run_id,
        value=low, relation=">=", threshold=gates.fidelity, unit="fve",
        passed=None if low is None else low >= gates.fidelity,
        why="Text from which the vector cannot be rebuilt is not about the vector: a model that moved away "
        f"from the one that the pair was trained on is read wrongly.{without}",
    )  # fmt: skip


def _transfer(run_id: str, real: Population | None, gates: Gates, without: str) -> Iterator[Gate]:
    if gates.reference is None:
        return
    low = None if real is None or real.fve_low is None else real.fve_low - gates.reference
    yield Gate(
        id="transfer", title="fidelity less the pair's own, lower end of its interval", run_id=run_id,
        value=low, relation=">=", threshold=-gates.transfer, unit="fve",
        passed=None if low is None else low >= -gates.transfer,
        why="A target that the pair reads worse than its own is read wrongly in places that nobody sees."
        + without,
    )  # fmt: skip


def proof_gate(connection: duckdb.DuckDBPyConnection, run_id: str) -> Gate:
    """Whether the pair was proven to read the target before the run, as the run's record says.

    A run that was told not to prove it leaves this open. Tables of earlier versions and imported ones cannot
    tell, and vectors that came with a corpus have no target to try: that is said, and holds nothing up.
    """
    found = connection.execute(
        "SELECT (record->'$.proof')::VARCHAR FROM runs WHERE run_id = $run", {"run": run_id}
    ).fetchone()
    proof: dict[str, Any] = (json.loads(found[0]) if found and found[0] else None) or {}
    known, proven = proof.get("verdict") is not None, proof.get("verdict") == "proven"
    refused_to = bool(proof.get("off"))
    low, others = proof.get("low"), proof.get("others")
    value = None if not proven or low is None or others is None else float(low) / (1 - float(others))
    told = f" Not proven: {proof.get('why', 'nothing is recorded')}." if known and not proven else ""
    return Gate(
        id="proof" if proven or refused_to else "proof_unknown", run_id=run_id, value=value, relation=">=",
        title="how far text carries built-in vectors of this target, from chance to all, lower end",
        threshold=PROVEN_FROM, unit="share", passed=None if value is None else value >= PROVEN_FROM,
        why="A pair of another model writes fluent text about nothing, and equal widths, depths and "
        f"tokenizers do not tell.{told}",
    )  # fmt: skip


def evidence_gate(run_id: str, rated: Sequence[Rated]) -> Iterator[Gate]:
    """A gate that is open where no detector can be judged: few families, one place per document, ..."""
    lacking = [one for one in rated if one.verdict == INSUFFICIENT]
    if lacking and len(lacking) == len(rated):
        # The second sentence of a reason is of its own detector.
        reasons = Counter(one.why.partition(". ")[0] for one in lacking)
        yield Gate(
            id="judged", title="detectors with enough evidence to be judged", run_id=run_id, value=0,
            relation=">=", threshold=1, unit="count", passed=None, why=f"{reasons.most_common(1)[0][0]}.",
        )  # fmt: skip


def _share(run_id: str, name: str, value: float | None, most: float, title: str, why: str) -> Gate:
    return Gate(
        id=name, title=title, run_id=run_id, value=value, relation="<=", threshold=most, unit="share",
        passed=None if value is None else value <= most, why=why,
    )  # fmt: skip


def _control_documents(run_id: str, name: str, found: Mapping[str, Population], rule: Evidence) -> Gate:
    n = found[name].documents if name in found else 0
    return Gate(
        id=f"control_{name}", title=f"documents with {name} rows", run_id=run_id, value=n, relation=">=",
        threshold=rule.minimum_control_documents, unit="count",
        passed=n >= rule.minimum_control_documents or None,
        why="Without enough of this control there is nothing to compare the rates with.",
    )  # fmt: skip


def _control_fidelity(run_id: str, control: Population, gates: Gates) -> Gate:
    return Gate(
        id=f"chance_{control.name}", title=f"fidelity of {control.name} rows, mean over documents",
        run_id=run_id, value=control.fve, relation="<=", threshold=gates.control_fidelity, unit="fve",
        passed=None if control.fve is None else control.fve <= gates.control_fidelity,
        why="If text about something else rebuilds the vector as well, fidelity shows nothing.",
    )  # fmt: skip


def verdict_of(gates: Sequence[Gate]) -> tuple[ReportVerdict, tuple[str, ...]]:
    """What the gates allow to be said, with a sentence for each that does not pass."""
    failed = [gate for gate in gates if gate.passed is False]
    if failed:
        return "not reportable", tuple(_sentence(gate) for gate in failed)
    open_ones = [gate for gate in gates if gate.passed is None and not gate.optional]
    if open_ones:
        return "insufficient evidence", tuple(_sentence(gate) for gate in open_ones)
    return "reportable", ()


def _sentence(gate: Gate) -> str:
    value = "not known" if gate.value is None else f"{gate.value:.4g}"
    where = "" if gate.run_id is None else f" of run {gate.run_id[:12]}"
    return f"{gate.title}{where}: {value}, {gate.relation} {gate.threshold:g} was expected. {gate.why}"
