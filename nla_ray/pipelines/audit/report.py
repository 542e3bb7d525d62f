"""From what an audit found to the report that says so."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nla_ray import __version__
from nla_ray.audit.denylist import denylist
from nla_ray.audit.findings import EXPERIMENTAL, FINDING, Row, shown_findings
from nla_ray.audit.notes import cannot_claim, left_out, method, queries
from nla_ray.audit.report.evidence import Finding
from nla_ray.audit.report.model import FoundAt, Gate, Note, Policy, Report, Run
from nla_ray.audit.report.rates import NOT_KNOWN, Comparison, Result
from nla_ray.audit.report.rates import Detector as ShownDetector
from nla_ray.audit.report.says import summed_up
from nla_ray.audit.verdicts.measured import EVERYWHERE, INSUFFICIENT
from nla_ray.audit.verdicts.rates import Rated
from nla_ray.config.audit import AuditConfig
from nla_ray.config.detectors.levels import GRAVEST_FIRST
from nla_ray.config.detectors.model import Detector
from nla_ray.config.detectors.packs import Packs
from nla_ray.errors import Exit
from nla_ray.ids import digest
from nla_ray.pages.data import Reference
from nla_ray.pipelines.audit.audited import AuditedRun, Compared, Judged
from nla_ray.pipelines.audit.differences import differences
from nla_ray.text import masked

if TYPE_CHECKING:
    import duckdb


SHOWN_FINDINGS, SHOWN_OTHERS = 100, 10
"""Of one detector and run: findings that the report shows, and documents that are none, the strongest."""


def build_report(config: AuditConfig, packs: Packs, audit_id: str, judged: Judged) -> Report:
    """The report. It depends on the arguments alone: no time, no path, no machine."""
    runs, rows, found = judged.runs, judged.rows, judged.audited
    shown = labelled([run_of(one) for one in runs])
    recipes = {run.run_id: json.loads(run.config) for run in shown}
    report = Report(
        version=__version__,
        title=title_of(shown),
        audit_id=audit_id,
        config_sha256=digest("audit config", config.fingerprint(), packs.fingerprint()),
        config=masked(config.canonical()),
        verdict=judged.verdict[0],
        reasons=judged.verdict[1],
        policy=policy_of(config, packs.detectors, found, rows),
        gates=tuple(_named(gate, len(runs)) for one in runs for gate in one.gates),
        runs=shown,
        detectors=tuple(_detector(detector, found, rows) for detector in packs.detectors),
        found=found_at(rows),
        findings=tuple(_shown(found[0].connection, rows, judged.change)),
        comparison=None if judged.change is None else _compared(judged.change, shown),
        cannot_claim=cannot_claim(
            config, packs.detectors, [one.tally for one in found], rows, judged.unread, recipes
        )
        + tuple(left_out(shown))
        + tuple(note for one in found for note in _without_family(one)),
        method=method(config.evidence, [one.tally for one in found], SHOWN_FINDINGS, SHOWN_OTHERS),
        queries=queries(audit_id),
        denylist=tuple(
            entry.model_copy(update={"title": _of_run(entry.title, one.tally.run_id, len(found))})
            for one in found
            for entry in denylist(one.connection, one.tally.run_id, packs.artefacts)
        ),
    )
    return summed_up(report)


def labelled(runs: Sequence[Run]) -> tuple[Run, ...]:
    """The runs by the names that people know them by: model and date, where these tell them apart."""
    names = [f"{run.target.ref} of {(run.finished_at or 'an unknown day')[:10]}" for run in runs]
    return tuple(
        run.model_copy(
            update={"label": name if names.count(name) == 1 else f"run {run.run_id[:12]} ({run.target.ref})"}
        )
        for run, name in zip(runs, names, strict=True)
    )


def title_of(runs: Sequence[Run]) -> str:
    """What was audited, or what was compared."""
    before = [run.label for run in runs if run.role == "before"]
    audited = [run for run in runs if run.role == "audited"]
    if before:
        return f"Change from {before[0]} to {audited[0].label}"
    names = ", ".join(dict.fromkeys(run.target.ref for run in audited))
    corpora = ", ".join(dict.fromkeys(run.corpus for run in audited))
    return f"Audit of {names} on {corpora}"


def found_at(rows: Sequence[Row]) -> tuple[FoundAt, ...]:
    """Findings by level, the gravest first."""
    found = [row for row in rows if row["status"] == FINDING]
    made, documents = [], set[tuple[str, str]]()
    for level in GRAVEST_FIRST:
        of_level = [row for row in found if row["level"] == level]
        documents |= {(row["audited_run"], row["doc_id"]) for row in of_level}
        if of_level:
            detectors = {row["detector"] for row in of_level}
            made.append(
                FoundAt(
                    level=level, findings=len(of_level), detectors=len(detectors), documents=len(documents)
                )
            )
    return tuple(made)


def _compared(change: Compared, runs: Sequence[Run]) -> Comparison:
    before, after = (next(run for run in runs if run.role == role) for role in ("before", "audited"))
    told = {"before": before.label, "after": after.label, "differences": differences(before, after)}
    return change.comparison.model_copy(update=told)


def _without_family(one: AuditedRun) -> Iterator[Note]:
    """What is not known where neither a text was stored nor a column is named."""
    ((n, of),) = one.connection.execute(
        "SELECT count(*) FILTER (family IS NULL), count(*) FROM audit_about WHERE run_id = $run",
        {"run": one.tally.run_id},
    ).fetchall()
    if n:
        yield Note(
            title="Independence of documents",
            text=f"{one.tally.run_id[:12]}: of {n} of {of} documents no text was kept and no column names "
            "the family (units.family), so each counts as its own; copies would make intervals too narrow.",
        )


def _named(gate: Gate, runs: int) -> Gate:
    """The gate, with its run in the title where there are several."""
    title = gate.title if gate.run_id is None else _of_run(gate.title, gate.run_id, runs)
    return gate.model_copy(update={"title": title})


def _of_run(title: str, run_id: str, runs: int) -> str:
    return title if runs == 1 else f"{title}, {run_id[:12]}"


def _shown(
    connection: duckdb.DuckDBPyConnection, rows: Sequence[Row], change: Compared | None
) -> Iterator[Finding]:
    """The strongest findings, and those of the run before that are gone."""
    yield from shown_findings(connection, selected(rows), {} if change is None else change.states)
    if change is not None:
        yield from shown_findings(change.connection, selected(change.gone), change.states)


def policy_of(
    config: AuditConfig, detectors: Sequence[Detector], found: Sequence[AuditedRun], rows: Sequence[Row]
) -> Policy:
    """Whether there are findings, or something everywhere, of the level at which the command fails."""
    if config.fail_on == "never":
        return Policy(fail_on=config.fail_on, failed=False, why="The policy never fails.")
    least = config.fail_on.partition(">=")[2]
    levels = GRAVEST_FIRST[: GRAVEST_FIRST.index(least) + 1]
    n = sum(row["status"] == FINDING and row["level"] in levels for row in rows)
    grave = {one.id for one in detectors if one.level in levels and one.status != EXPERIMENTAL}
    told = {rated.detector for one in found for rated in one.rated if rated.verdict == EVERYWHERE}
    everywhere = tuple(sorted(told & grave))
    why = f"{n} findings of level {least} or above."
    if everywhere:
        why += f" Everywhere, so not told from a habit on this corpus: {', '.join(everywhere)}."
    unjudged = sorted(
        {rated.detector for one in found for rated in one.rated if rated.verdict == INSUFFICIENT} & grave
    )
    if unjudged:
        why += f" Not judged, for too little evidence: {', '.join(unjudged)}."
    return Policy(
        fail_on=config.fail_on, failed=n > 0 or bool(everywhere), findings=n, everywhere=everywhere, why=why
    )


def selected(rows: Sequence[Row]) -> list[Row]:
    """The rows that the report shows: of each run, detector and kind the strongest."""
    taken: Counter[tuple[str, str, bool]] = Counter()
    shown = []
    for row in sorted(rows, key=lambda row: (-row["score"], row["doc_id"])):
        key = (row["audited_run"], row["detector"], row["status"] == FINDING)
        taken[key] += 1
        if taken[key] <= (SHOWN_FINDINGS if key[2] else SHOWN_OTHERS):
            shown.append(row)
    return shown


def run_of(one: AuditedRun) -> Run:
    """Where the rows of a run come from, as its plan and manifest say."""
    run_id, connection = one.tally.run_id, one.connection
    found = connection.execute(
        "SELECT * REPLACE (facts::VARCHAR AS facts, record::VARCHAR AS record) FROM runs WHERE run_id = $run",
        {"run": run_id},
    )
    names = [column[0] for column in found.description]
    values = dict(zip(names, found.fetchone() or (), strict=True))
    facts: dict[str, Any] = json.loads(values["facts"])
    # What changes no row is in the record alone; plans of older versions held it instead.
    more: dict[str, Any] = facts | json.loads(values["record"])
    corpus = facts.get("corpus") or {}
    counts = dict(
        connection.execute(
            "SELECT outcome, count(*) FROM explanations WHERE run_id = $run GROUP BY ALL ORDER BY ALL",
            {"run": run_id},
        ).fetchall()
    )
    return Run(
        run_id=run_id,
        label=run_id[:12],
        role=one.role,
        target=_reference(facts, "target"),
        av=_reference(facts, "av"),
        ar=_reference(facts, "ar"),
        layer=values["layer"],
        seed=values["seed"],
        corpus=", ".join((more.get("config") or {}).get("corpus", {}).get("paths", ())) or NOT_KNOWN,
        corpus_sha256=corpus.get("sha256") if isinstance(corpus, dict) else None,
        config_sha256=values["fingerprint"],
        config=json.dumps(facts.get("config") or facts.get("options") or {}, sort_keys=True),
        versions={name: str(version) for name, version in sorted((more.get("versions") or {}).items())},
        fve_baseline=values["fve_baseline"],
        fve_reference=values["fve_reference"],
        plan_sha256=values["plan_sha256"],
        manifest_sha256=values["manifest_sha256"],
        finished_at=more.get("finished_at"),
        counts=counts | {"quarantined": values["quarantined"]},
        populations=one.populations,
        parts=one.parts,
    )


def _reference(facts: Mapping[str, Any], role: str) -> Reference:
    found = (facts.get("models") or {}).get(role)
    if isinstance(found, dict):
        ref = str(found.get("ref") or NOT_KNOWN)
        return Reference(ref=ref, commit=found.get("commit"), sha256=found.get("sha256"))
    # Models that the package holds stand in a plan as their name with a digest.
    ref, _, sha256 = str(found or NOT_KNOWN).partition(" sha256:")
    return Reference(ref=ref, sha256=sha256 or None)


def _detector(detector: Detector, found: Sequence[AuditedRun], rows: Sequence[Row]) -> ShownDetector:
    validation = detector.validation
    return ShownDetector(
        **detector.model_dump(
            include={"id", "title", "description", "level", "tier", "status", "falsepositives", "references"}
        ),
        kind=detector.kind,
        rule=rule_of(detector, found),
        sha256=detector.fingerprint(),
        validation=validation,
        results=tuple(
            _result(rated, rows) for one in found for rated in one.rated if rated.detector == detector.id
        ),
    )


def rule_of(detector: Detector, found: Sequence[AuditedRun]) -> str:
    """A detector's rule in words."""
    recurrence = detector.recurrence
    window = f" of {recurrence.n} in a row" if recurrence.n else ""
    parts = [f"at least {recurrence.k}{window} {recurrence.over}"]
    floors = [one.tally.floor for one in found if one.tally.floor is not None]
    if detector.minimum_fidelity is not None:
        floors = [max(floor, detector.minimum_fidelity) for floor in floors] or [detector.minimum_fidelity]
    if floors:
        parts.append("fve_nrm above " + " and ".join(f"{floor:.3f}" for floor in floors))
    for name, values in detector.scope.model_dump().items():
        if values:
            parts.append(f"{name.replace('_', ' ')} {', '.join(values)}")
    return ", ".join(parts)


def _result(rated: Rated, rows: Sequence[Row]) -> Result:
    statuses = Counter(
        row["status"]
        for row in rows
        if (row["audited_run"], row["detector"]) == (rated.run_id, rated.detector)
    )
    findings = statuses.pop(FINDING, 0)
    return Result(
        run_id=rated.run_id, verdict=rated.verdict, why=rated.why, findings=findings,
        set_aside=dict(sorted(statuses.items())),
        rates=tuple(sorted(rated.rates, key=lambda rate: rate.unit)),
        p=rated.p, seen=rated.seen, families=rated.families, independent=rated.independent,
    )  # fmt: skip


def exit_of(report: Report) -> Exit:
    """What a report's verdict and its policy make of a command."""
    if report.verdict == "not reportable":
        return Exit.NOT_REPORTABLE
    if report.policy is not None and report.policy.failed:
        return Exit.FINDINGS if report.policy.findings else Exit.EVERYWHERE
    return Exit.INSUFFICIENT if report.verdict == "insufficient evidence" else Exit.DONE
