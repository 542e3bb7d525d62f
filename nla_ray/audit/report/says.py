"""The first sentence of a report, what to do and why; can its numbers be used, and what was found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from nla_ray.audit.report.model import Report, ReportVerdict
from nla_ray.audit.report.rates import Change, Detector, Result
from nla_ray.config.detectors.levels import GRAVEST_FIRST, Tier
from nla_ray.config.detectors.model import VALIDATED, Estimate
from nla_ray.intervals import wilson
from nla_ray.pages.words import clipped, count, decimals, number, percent, points, sentence

RELIANCE: dict[ReportVerdict, str] = {
    "reportable": "These numbers can be used",
    "not reportable": "These numbers cannot be used",
    "insufficient evidence": "Too little was read for these numbers to be used",
}
NEXT = {
    "Do not use these numbers": "see under Gates what failed and why, mend it, decode and audit again.",
    "Do not sign": "read the findings, the strongest first, and have people review them: where precision is "
    "not known, nobody knows how many are true.",
    "Do not sign yet": "make that comparison, then audit again.",
    "Nothing can be said yet": "decode more documents, or the controls that are missing, and audit again.",
    "Look before you sign": "read what is named here; the policy does not fail on it, and it is not nothing.",
    "": "decide whether a property rarer than what would have been seen matters to you.",
}
"""What to do next, by how the first sentence begins."""
NAMED, LONGEST = 3, 60
"""Names that a sentence gives before it only counts them, and characters of each."""


def summed_up(report: Report) -> Report:
    """The report with its first sentence."""
    return report.model_copy(update={"summary": first_sentence(report)})


def first_sentence(report: Report) -> str:
    """What to do, and why: the same words on the page, in Markdown, in JSON and on a terminal."""
    action = _action(report)
    because = "; ".join(_because(report))
    return f"{action}: {because}." if action else f"{sentence(because)}."


def next_step(report: Report) -> str:
    """What to do about it."""
    return NEXT[_action(report)]


def findings_told(report: Report) -> str:
    """All findings: "10 critical and 82 high findings of 7 kinds in 4.9 % of documents"."""
    return _told(report, [one.level for one in report.found]) if report.found else "Nothing"


def relied_on(report: Report) -> str:
    """What the answer to "can these numbers be used" rests on."""
    passed = sum(gate.passed is True for gate in report.gates)
    return (
        f"{passed} of {len(report.gates)} gates are passed. They ask whether enough was read, whether the "
        "explanations fit what they explain, and whether the controls behave as controls must."
    )


def names_what(tier: Tier) -> str:
    """How plainly a detector speaks."""
    return "names the thing itself" if tier == "strong" else "names a sign of it"


def precision_told(detector: Detector) -> str:
    """How many of a detector's matches are true, as people who read some of them say."""
    found = detector.validation
    if found is None or not detector.validated:
        return f"precision not known, fewer than {VALIDATED} of its matches were reviewed"
    n = found.hits
    low, high = wilson(found.tp, n)
    said = found.precision or Estimate(rate=found.tp / n, low=low, high=high)
    return (
        f"{percent(said.rate, 0)} of {count(n)} reviewed matches are true "
        f"({number(100 * said.low, 0)} to {percent(said.high, 0)})"
    )


def seen_told(result: Result, digits: int = 1) -> str:
    """What a detector would have seen, beside a rate that was not flagged; empty for one that was."""
    if result.seen is None or result.verdict in ("above controls", "insufficient evidence"):
        return ""
    told = (
        f"A property of {percent(result.seen, digits)} of documents or more, mentioned just as often as the "
        "rule asks, would have been flagged in 80 % of cases"
    )
    more = (result.rates[0].rate or 0.0) >= result.seen
    return f"{told}{'; this one is mentioned in more, and was not, for the reason given' if more else ''}."


def _action(report: Report) -> str:
    policy = report.policy
    if report.verdict == "not reportable":
        return "Do not use these numbers"
    if policy is not None and policy.failed:
        return "Do not sign" if policy.findings else "Do not sign yet"
    if report.verdict == "insufficient evidence":
        return "Nothing can be said yet"
    weighty = {detector.id for detector in _weighty(report)}
    risen = any(one.verdict == "risen" and one.detector in weighty for one in _changes(report))
    return "Look before you sign" if report.found or risen or any(_everywhere(report)) else ""


def _weighty(report: Report) -> Iterator[Detector]:
    """Detectors that can raise a finding."""
    for detector in report.detectors:
        if detector.level != "informational" and detector.status != "experimental":
            yield detector


def _because(report: Report) -> Iterator[str]:
    if report.verdict == "not reportable":
        yield _gates(report, passed=False, told="failed")
        return
    yield from _changed(report)
    if report.found:
        yield _told(report, _grave(report) or [one.level for one in report.found])
    yield from _everywhere(report)
    if report.verdict == "insufficient evidence":
        yield _gates(report, passed=None, told="could not be decided")
    elif not report.found and not any(_everywhere(report)):
        yield from _nothing(report)


def _grave(report: Report) -> list[str]:
    """Levels of findings that the policy fails on."""
    fail_on = "" if report.policy is None else report.policy.fail_on
    levels: Sequence[str] = GRAVEST_FIRST
    least = fail_on.partition(">=")[2]
    at = levels.index(least) if least in levels else -1
    return [one.level for one in report.found if levels.index(one.level) <= at]


def _gates(report: Report, *, passed: bool | None, told: str) -> str:
    titles = [
        gate.title
        for gate in report.gates
        if gate.passed is passed and not (passed is None and gate.optional)
    ]
    return f"{len(titles)} gate{'' if len(titles) == 1 else 's'} {told} ({_names(titles)})"


def _told(report: Report, levels: Sequence[str]) -> str:
    """Findings of these levels, the gravest ones of the report."""
    found = [one for one in report.found if one.level in levels]
    documents, kinds = found[-1].documents, sum(one.detectors for one in found)
    of = sum(one.documents for run in report.runs if run.role == "audited"
             for one in run.populations if one.name == "real")  # fmt: skip
    share = documents / of if of else None
    numbers = _listed([f"{count(one.findings)} {one.level}" for one in found])
    one = sum(one.findings for one in found) == 1
    return (
        f"{numbers} finding{'' if one else 's'} of {kinds} kind{'' if kinds == 1 else 's'} in "
        f"{percent(share, decimals([share]))} of documents"
    )


def _everywhere(report: Report) -> Iterator[str]:
    names = [
        detector.title
        for detector in _weighty(report)
        if any(result.verdict == "everywhere" for result in detector.results)
    ]
    if names:
        verb = "is" if len(names) == 1 else "are"
        yield (
            f"{_names(names)} {verb} in nearly all documents, which cannot be told from a habit of the "
            "verbalizer on this corpus: compare with benign documents, another corpus or the base model"
        )


def _changes(report: Report) -> Sequence[Change]:
    return () if report.comparison is None else report.comparison.changes


def _changed(report: Report) -> Iterator[str]:
    """What a comparison shows, the rises first."""
    if report.comparison is None:
        return
    titles = {detector.id: detector.title for detector in report.detectors}
    for verdict in ("risen", "fallen"):
        moved = [
            f"{titles.get(one.detector, one.detector)} ({points(one.change)} points)"
            for one in _changes(report)
            if one.verdict == verdict
        ]
        if moved:
            yield f"{verdict}: {_names(moved)}"
    if not any(one.verdict in ("risen", "fallen") for one in _changes(report)):
        seen = [one.seen for one in _changes(report) if one.seen is not None]
        bound = f" (a rise of {points(max(seen))[1:]} points or more would have been seen)" if seen else ""
        judged = any(one.p_adjusted is not None for one in _changes(report))
        yield f"no change shown{bound}" if judged else "nothing could be compared"
    origins = report.comparison.differences
    differ, unknown = ([one.what for one in origins if one.known is known] for known in (True, False))
    if differ:
        yield f"the two also differ in {_listed(differ)}, so a change may come from that"
    if unknown:
        yield f"whether they differ in {_listed(unknown)} is not known"


def _nothing(report: Report) -> Iterator[str]:
    """What no finding means: the least that would have been found, and what could not be judged."""
    results = [result for detector in _weighty(report) for result in detector.results]
    judged = [result for result in results if result.verdict != "insufficient evidence"]
    yield "nothing found"
    seen = [result.seen for result in judged]
    known = [one for one in seen if one is not None]
    if known:
        yield f"this audit would have seen {percent(max(known))} of documents or more, in 80 % of cases"
    if blind := len(seen) - len(known):
        yield f"for {blind} of {len(results)} detectors no rate would surely have been seen"
    if unjudged := len(results) - len(judged):
        yield f"{unjudged} of {len(results)} detectors could not be judged, for too little evidence"


def _names(names: Iterable[str]) -> str:
    """Up to so many names, and how many more."""
    ordered = list(dict.fromkeys(clipped(name, LONGEST) for name in names))
    more = len(ordered) - NAMED
    return _listed([*ordered[:NAMED], f"{more} more"] if more > 0 else ordered)


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
