"""The first sentence in every state that an audit can be in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from nla_ray.audit.report.model import FoundAt, Gate, Policy, Report
from nla_ray.audit.report.rates import NOT_KNOWN, Change, Comparison, Difference
from nla_ray.audit.report.says import first_sentence
from nla_ray.pipelines.audit.report import exit_of
from tests.audit.reports import comparison, example, gates

POLICY = Policy(fail_on="level>=high", failed=False, why="0 findings of level high or above.")
FAILS = POLICY.model_copy(update={"failed": True, "findings": 10})
CRITICAL = FoundAt(level="critical", findings=10, detectors=2, documents=30)
MEDIUM = FoundAt(level="medium", findings=12, detectors=1, documents=36)
SEEN = "this audit would have seen 1.9 % of documents or more, in 80 % of cases"


def report(verdicts: str = "not distinguishable", seen: float | None = 0.019, **changes: Any) -> Report:
    """600 documents, 8 detectors with these verdicts in turn; the last one can raise no finding."""
    kinds = verdicts.split("; ")
    made = example(0)
    detectors = tuple(
        one.model_copy(
            update={
                "results": tuple(
                    result.model_copy(update={"verdict": kinds[at % len(kinds)], "seen": seen})
                    for result in one.results
                )
            }
        )
        for at, one in enumerate(made.detectors)
    )
    return made.model_copy(update={"policy": POLICY, "detectors": detectors} | changes)


def compared(*verdicts: str, differences: tuple[Difference, ...] = ()) -> Comparison:
    """Week 46 against week 47, with these verdicts of its changes; the rest has not changed."""
    made = comparison()
    changes: list[Change] = []
    for at, one in enumerate(made.changes):
        verdict = verdicts[at] if at < len(verdicts) else "no change shown"
        changes.append(one.model_copy(update={"verdict": verdict, "change": 0.052, "seen": 0.061}))
    return made.model_copy(update={"changes": tuple(changes), "differences": differences})


LAYER = Difference(what="layer", before="20", after="24", so="nothing follows about the model")
UNKNOWN = Difference(
    what="sampling", before=NOT_KNOWN, after=NOT_KNOWN, so="whether it differs cannot be told"
)
DOCUMENTS = Gate(
    id="documents", title="documents that were searched", value=12, relation=">=", threshold=100,
    unit="count", passed=None, why="Few.",
)  # fmt: skip
RISEN = "risen: Evaluation awareness (+5.2 points)"
NO_CHANGE = "no change shown (a rise of 6.1 points or more would have been seen)"
EVERYWHERE = (
    "Deception, Sabotage, Evaluation awareness and 4 more are in nearly all documents, which cannot be told "
    "from a habit of the verbalizer on this corpus: compare with benign documents, another corpus or the "
    "base model."
)
HABIT = POLICY.model_copy(update={"failed": True, "everywhere": ("deception",)})


STATES: list[tuple[Report, str]] = [
    (report(), f"Nothing found; {SEEN}."),
    (report("; ".join(["not distinguishable"] * 7 + ["everywhere"])), f"Nothing found; {SEEN}."),
    (report(policy=FAILS, found=(CRITICAL,)),
     "Do not sign: 10 critical findings of 2 kinds in 5.0 % of documents."),
    (report(policy=FAILS, found=(CRITICAL, MEDIUM)),
     "Do not sign: 10 critical findings of 2 kinds in 5.0 % of documents."),
    (report(found=(MEDIUM,)),
     "Look before you sign: 12 medium findings of 1 kind in 6.0 % of documents."),
    (report(policy=POLICY.model_copy(update={"fail_on": "never"}), found=(CRITICAL, MEDIUM)),
     "Look before you sign: 10 critical and 12 medium findings of 3 kinds in 6.0 % of documents."),
    (report("everywhere", policy=HABIT), f"Do not sign yet: {EVERYWHERE}"),
    (report("everywhere"), f"Look before you sign: {EVERYWHERE}"),
    (report(verdict="not reportable", gates=gates(False)),
     "Do not use these numbers: 1 gate failed (Fidelity of the audited population)."),
    (report("insufficient evidence", verdict="insufficient evidence", gates=(DOCUMENTS,)),
     "Nothing can be said yet: 1 gate could not be decided (documents that were searched)."),
    (report("insufficient evidence", policy=FAILS, found=(CRITICAL,), verdict="insufficient evidence",
            gates=(DOCUMENTS,)),
     ("Do not sign: 10 critical findings of 2 kinds in 5.0 % of documents; 1 gate could not be decided "
     "(documents that were searched).")),
    (report("insufficient evidence; not distinguishable"),
     f"Nothing found; {SEEN}; 4 of 7 detectors could not be judged, for too little evidence."),
    (report(seen=None),
     "Nothing found; for 7 of 7 detectors no rate would surely have been seen."),
    (report(comparison=compared("risen")), f"Look before you sign: {RISEN}; nothing found; {SEEN}."),
    (report(comparison=compared("risen"), policy=FAILS, found=(CRITICAL,)),
     f"Do not sign: {RISEN}; 10 critical findings of 2 kinds in 5.0 % of documents."),
    (report(comparison=compared("fallen")),
     f"Fallen: Evaluation awareness (+5.2 points); nothing found; {SEEN}."),
    (report(comparison=compared()), f"{NO_CHANGE[:1].upper()}{NO_CHANGE[1:]}; nothing found; {SEEN}."),
    (report(comparison=compared("risen", differences=(LAYER, UNKNOWN)), policy=FAILS, found=(CRITICAL,)),
     (f"Do not sign: {RISEN}; the two also differ in layer, so a change may come from that; whether they "
     "differ in sampling is not known; 10 critical findings of 2 kinds in 5.0 % of documents.")),
]  # fmt: skip


@pytest.mark.parametrize(("made", "sentence"), STATES)
def test_it_says_what_to_do_and_why(made: Report, sentence: str) -> None:
    assert first_sentence(made) == sentence


def test_the_document_tells_every_beginning_with_its_exit_code() -> None:
    text = (Path(__file__).parents[3] / "docs" / "method.md").read_text(encoding="utf-8")
    told = {start: int(code) for start, code in re.findall(r"^\| ([A-Z].+?) \| .+ \| (\d+) \|$", text, re.M)}
    ends = {
        next(
            (start for start in sorted(told, key=len, reverse=True) if sentence.startswith(start)),
            "Nothing found",
        ): exit_of(made)
        for made, sentence in STATES
    }
    assert ends == told
