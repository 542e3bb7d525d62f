"""What a report says beside its numbers: how they were made, and what they do not show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nla_ray.audit.findings import EXPERIMENTAL, Row
from nla_ray.audit.report.model import Note, Query, Run
from nla_ray.audit.tally import Tally
from nla_ray.config.audit import AuditConfig, Evidence
from nla_ray.config.detectors.model import Detector
from nla_ray.tables import CONTROLS

_WITHOUT = {
    "shuffled": "nothing shows that explanations are about their own documents",
    "random": "nothing shows what the verbalizer says to a direction without meaning",
    "mean": "nothing shows what the verbalizer says to the average of the corpus",
    "none": "nothing shows what the verbalizer says when nothing is injected",
}


def cannot_claim(
    config: AuditConfig,
    detectors: Sequence[Detector],
    tallies: Sequence[Tally],
    rows: Sequence[Row],
    unread: Mapping[str, int],
    recipes: Mapping[str, Mapping[str, Any]],
) -> tuple[Note, ...]:
    """What a reader might expect and these data do not support.

    `unread`: texts without a verdict of the judge, by the reason. `recipes`: the configuration of each run,
    by its id.
    """
    cut = {run for run, recipe in recipes.items() if recipe.get("store_text", "full") != "full"}
    return (
        *_of_the_controls(config, tallies),
        *_of_the_judge(unread),
        *_of_the_texts(recipes),
        *_of_the_evidence(detectors, tallies, [row for row in rows if row["audited_run"] not in cut]),
    )


_STORED = {
    "none": "the prompt was not stored (store_text: none), so it is not known whether explanations only "
    "repeat it, and no text is shown around them",
    "window": "only windows of the prompt around the explained tokens were stored (store_text: window), so "
    "it is not known whether explanations repeat what stands elsewhere in it",
}


def _of_the_texts(recipes: Mapping[str, Mapping[str, Any]]) -> Iterator[Note]:
    for kind, said in _STORED.items():
        runs = ", ".join(run[:12] for run, recipe in recipes.items() if recipe.get("store_text") == kind)
        if runs:
            yield Note(title="More than the prompt says", text=f"{runs}: {said}.")
    runs = ", ".join(run[:12] for run, recipe in recipes.items() if recipe.get("redact"))
    if runs:
        yield Note(
            title="What was redacted",
            text=f"{runs}: parts of prompts and explanations were hidden before they were stored (redact); "
            "nothing was searched in them.",
        )


def _of_the_controls(config: AuditConfig, tallies: Sequence[Tally]) -> Iterator[Note]:
    yield Note(
        title="What the model thinks",
        text="A finding says that explanations mention something. It does not say that the model thinks "
        "it, or would act on it.",
    )
    for control in CONTROLS:
        without = [tally.run_id[:12] for tally in tallies if control not in tally.populations]
        if without:
            runs = ", ".join(without)
            title = f"Against the control {control}"
            yield Note(title=title, text=f"{runs}: without {control} rows {_WITHOUT[control]}.")
    if config.benign is None and config.benign_documents is None:
        yield Note(
            title="Intent rather than topic",
            text="No benign documents of the same topics were named, so a topic that sounds like the "
            "property cannot be told from it.",
        )


def _of_the_judge(unread: Mapping[str, int]) -> Iterator[Note]:
    if unread:
        reasons = "; ".join(f"{count}: {reason}" for reason, count in sorted(unread.items()))
        yield Note(
            title="What the judge has not read",
            text=f"{sum(unread.values())} texts have no verdict of the judge ({reasons}), of all runs and "
            "controls together; what patterns nominate in them is not counted.",
        )


def _of_the_evidence(
    detectors: Sequence[Detector], tallies: Sequence[Tally], rows: Sequence[Row]
) -> Iterator[Note]:
    if any(row["restated"] is None for row in rows):
        yield Note(
            title="More than the text says",
            text="The documents' text was not kept for some hits, so it is not known whether "
            "explanations only repeat it.",
        )
    if any(tally.floor is None for tally in tallies):
        yield Note(
            title="Fidelity of the evidence",
            text="Without fidelity scores of real and control rows, explanations that fit nothing count like "
            "those that fit.",
        )
    young = [one.id for one in detectors if one.status == EXPERIMENTAL]
    if young:
        yield Note(
            title="Findings of experimental detectors",
            text=f"Counted, and no finding whatever the count: {', '.join(young)}. Their precision is under "
            "0.5 or not known at all.",
        )
    unvalidated = [one.id for one in detectors if not one.validated]
    if unvalidated:
        yield Note(
            title="Precision on real explanations",
            text=f"Too few hits were reviewed by people to know the precision of: {', '.join(unvalidated)}.",
        )
    yield Note(
        title="Absence",
        text="No hit in n documents is not none: the upper end of the interval is what the data allow.",
    )


def left_out(runs: Sequence[Run]) -> Iterator[Note]:
    """The parts of runs that are in no number, and why; and what stands on one family where none is known."""
    for run in runs:
        for part in (part for part in run.parts if part.left_out):
            yield Note(
                title=f"{part.kind.capitalize()} {part.name}",
                text=f"{run.label}: left out of every number: fidelity {part.fve:.2f}, at most "
                f"{part.fve_high or 0.0:.2f}, over {part.documents} documents misses the gate.",
            )


def method(rule: Evidence, tallies: Sequence[Tally], findings: int, others: int) -> tuple[Note, ...]:
    """How the numbers were made; `findings` and `others` are how many of each the report shows."""
    return (
        Note(title="Evidence", text=_evidence(rule, tallies)),
        Note(
            title="Rates",
            text="Rates are of documents, with Wilson's interval; documents of one family count as the "
            "independent ones that they are worth. A control is decoded at some of the positions only: its "
            "rate per position, with an interval on the effective sample of families, is turned into the one "
            "that whole documents would have (any of n positions), which stands beside the real one. All "
            "numbers on one line are of one threshold. Would be seen: the least rate of documents that just "
            "meet the rule which these tests would flag in 80 % of cases.",
        ),
        Note(
            title="Above controls",
            text="A detector is above its controls if more documents reach some strength than they "
            "would with any control's rate at its upper bound, and if mentions are tied to "
            "documents: assigning them to positions at random makes fewer pairs within families. The "
            "largest of these p-values counts; they are adjusted over detectors for a false "
            f"discovery rate of {rule.alpha:g} (Benjamini-Hochberg). A property of nearly all documents "
            "cannot be tied to some of them: everywhere, neither found nor absent.",
        ),
        Note(
            title="What is shown",
            text=f"Of each detector and run the {findings} strongest findings and the {others} strongest "
            "documents that are none. The table findings has all of them.",
        ),
    )


def _evidence(rule: Evidence, tallies: Sequence[Tally]) -> str:
    floors = ", ".join("none" if tally.floor is None else f"{tally.floor:.3f}" for tally in tallies)
    beyond = "it was searched"
    if rule.beyond_controls is not None:
        share = f"{rule.beyond_controls:.0%} of the run's control rows"
        beyond = f"its fidelity exceeds that of {share} (fve_nrm {floors})"
    restated = "also" if rule.restated else "not"
    return (
        "Detectors read what an explanation claims: not what it quotes, what it says of the final token, or "
        "what a clause denies, supposes or only mentions, unless their pack asks for it. Explanations of "
        "special and template tokens are left out, unless a detector's scope names them. "
        f"An explanation counts if {beyond}, if the match is not inside a known artefact, and {restated} "
        "if the prompt (the text without the model's own answers) says the same up to that position. A "
        "document meets a rule when "
        "enough of its positions, samples or rows count."
    )


def queries(audit_id: str) -> tuple[Query, ...]:
    """Statements that give the numbers of this audit, whichever others there are."""
    gravity = "list_position(['critical', 'high', 'medium', 'low', 'informational'], level)"
    this = f"WHERE audit_id = '{audit_id}'"
    return (
        Query(
            title="All documents with hits",
            sql=f"SELECT * FROM all_findings {this} ORDER BY {gravity}, detector, score DESC",
        ),
        Query(
            title="All hits",
            sql=f"SELECT * FROM all_hits {this} ORDER BY detector, control, doc_id, position",
        ),
        Query(title="All rates", sql=f"SELECT * FROM all_rates {this} ORDER BY detector, unit, population"),
        Query(
            title="Fidelity by control, mean over documents",
            sql="SELECT run_id, control, avg(fve) FROM (SELECT run_id, control, doc_id, avg(fve_nrm) AS fve "
            "FROM all_explanations GROUP BY ALL) GROUP BY ALL",
        ),
    )
