"""A detector is above its controls when it is, and not otherwise: worlds of which the truth is known."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import pytest

from nla_ray.audit.inference.frame import UNMATCHED
from nla_ray.audit.report.rates import Rate
from nla_ray.audit.verdicts.compare import Week
from nla_ray.audit.verdicts.gates import evidence_gate, verdict_of
from nla_ray.audit.verdicts.measured import ABOVE, EVERYWHERE, INSUFFICIENT, NOT, Beside
from nla_ray.audit.verdicts.rates import Rated, rate_all
from nla_ray.config.audit import Evidence, Units
from nla_ray.errors import InputError
from nla_ray.intervals import wilson
from tests.audit.planted import Row, Says, at_random, corpus, detector, in_documents, never, tally_of, week_of

RULE = Evidence()
SILENT: Mapping[str, Says] = {"shuffled": never, "random": never}
ONE = detector("sabotage")


def rated(rows: list[Row], rule: Evidence = RULE, benign: Week | None = None, subject: str = "real") -> Rated:
    """Rates and verdict of one detector."""
    week = week_of(rows, [ONE], rule)
    beside = None if benign is None else Beside(benign.readings, week.readings, UNMATCHED)
    (found,) = rate_all(week.tally, [ONE], rule, beside, subject)
    return found


def benign(k: int, n: int) -> Week:
    """Benign documents of which `k` of `n` meet the detector's rule."""
    said = frozenset({"sabotage"})
    return week_of(
        [Row(doc, place, "real", said if doc < k else frozenset()) for doc in range(n) for place in range(8)],
        [ONE],
    )


def rate(found: Rated, population: str, unit: str = "document") -> Rate:
    """One of the rates."""
    return next(one for one in found.rates if (one.population, one.unit) == (population, unit))


def test_a_property_of_some_documents_is_above_its_controls() -> None:
    found = rated(corpus(400, in_documents(10, 0.6, "sabotage"), SILENT))
    assert found.verdict == ABOVE
    assert (found.p or 1.0) < 1e-5, "one finding must hold among thousands of tests of a sweep"
    assert (found.documents.k, found.documents.n) == (pytest.approx(40, abs=2), 400)
    shuffled = rate(found, "shuffled")
    assert shuffled.lift_low is not None and shuffled.lift_high is not None and shuffled.high is not None
    assert shuffled.lift_low < 0.1 < shuffled.lift_high
    assert 0 < shuffled.high < 0.05
    assert {one.population for one in found.rates} == {"real", "shuffled", "random"}


def test_shuffled_text_that_fits_nowhere_stands_beside_the_repetition_within_documents() -> None:
    """Shuffled rows mention it as often as real ones do, by construction; they do not repeat it."""
    controls = {"shuffled": at_random(0.06, "sabotage"), "random": never}
    found = rated(corpus(400, in_documents(10, 0.6, "sabotage"), controls))
    assert found.verdict == ABOVE
    assert rate(found, "shuffled", "row").rate == pytest.approx(0.06, abs=0.03)
    again = rate(found, "shuffled", "repeat")
    assert again.lift == pytest.approx(0.6 - 0.06, abs=0.06)
    assert again.p is not None and again.p < 1e-9


@pytest.mark.parametrize("share", [0.05, 0.3, 0.56])
def test_a_favourite_story_is_not_distinguishable(share: float) -> None:
    """What is said at one rate whatever is read, to control vectors too."""
    says = at_random(share, "sabotage")
    found = rated(corpus(300, says, {"shuffled": says, "random": says}))
    assert found.verdict == NOT
    assert "tied" in found.why


def test_without_any_control_nothing_is_above_every_control() -> None:
    found = rated(corpus(400, in_documents(10, 0.6, "sabotage"), {}), Evidence(controls=()))
    assert found.verdict == INSUFFICIENT and found.why.startswith("no control has rows in 30 documents")


def test_what_would_be_seen_is_said_of_what_is_not_above_its_controls() -> None:
    quiet = rated(corpus(400, never, SILENT))
    above = rated(corpus(400, in_documents(10, 0.6, "sabotage"), SILENT))
    assert quiet.seen is not None and 0.01 < quiet.seen < 0.1 and above.seen is None


def test_beside_a_habit_more_is_needed_to_be_seen() -> None:
    says = at_random(0.15, "sabotage")
    found = rated(corpus(400, says, {"shuffled": says, "random": says}, share=0.4, fve=None, poor=None))
    assert found.verdict == NOT and found.seen is not None and found.documents.rate is not None
    assert found.documents.rate + 0.05 < found.seen < 0.8


def test_what_nearly_all_documents_say_cannot_be_told_from_a_habit() -> None:
    """115 of 128 documents at 4 of 8 positions, of high fidelity, and controls never."""

    def says(rng: np.random.Generator, doc: int, place: int) -> list[str]:
        return ["sabotage"] if doc < 115 and place % 2 else []

    found = rated(corpus(128, says, SILENT, share=0.5))
    assert found.verdict == EVERYWHERE and "another corpus or the base model" in found.why
    assert found.documents.k == 115


def test_words_added_to_every_text_are_a_habit() -> None:
    """Real rows alone have fidelity, so that only they count as evidence; yet the words say nothing."""
    says = at_random(1.0, "sabotage")
    found = rated(corpus(300, says, {"shuffled": says, "random": says}))
    assert found.documents.rate == 1.0 and rate(found, "shuffled").rate == pytest.approx(0, abs=0.1)
    assert found.verdict == NOT


def test_a_prior_that_does_not_fit_the_vector_does_not_hide_a_property() -> None:
    """Half of all random directions are told as sabotage, but that text fits no vector."""
    controls = {"shuffled": at_random(0.06, "sabotage"), "random": at_random(0.56, "sabotage")}
    found = rated(corpus(400, in_documents(10, 0.6, "sabotage"), controls))
    assert rate(found, "random", "row").rate == pytest.approx(0.56, abs=0.08)
    assert found.verdict == ABOVE


def test_documents_that_cannot_be_read_fall_to_the_prior_and_are_not_above_it() -> None:
    """A fifth of the documents is told the verbalizer's favourite story, which fits no vector of theirs."""

    def says(rng: np.random.Generator, doc: int, place: int) -> list[str]:
        return ["sabotage"] if doc % 5 == 0 and rng.random() < 0.56 else []

    controls = {"shuffled": never, "random": at_random(0.56, "sabotage")}
    rng = np.random.default_rng(1)
    rows = [
        dataclasses.replace(row, fve=-1 + rng.normal(0, 0.02))
        if row.control == "real" and row.doc % 5 == 0
        else row
        for row in corpus(400, says, controls)
    ]
    found = rated(rows)
    assert (rate(found, "shuffled", "repeat").p or 1.0) < 1e-9
    assert found.verdict == NOT and "random" in found.why


def test_without_fidelity_the_same_prior_does_hide_it() -> None:
    controls = {"shuffled": at_random(0.06, "sabotage"), "random": at_random(0.56, "sabotage")}
    rows = corpus(400, in_documents(10, 0.6, "sabotage"), controls, fve=None, poor=None)
    assert rated(rows).verdict == NOT


def test_a_few_documents_that_say_it_over_and_over_are_above_their_controls() -> None:
    found = rated(corpus(1000, in_documents(500, 0.9, "sabotage"), SILENT))
    assert found.documents.k == 2 and found.verdict == ABOVE


def test_only_documents_that_controls_could_not_make_are_told_from_them() -> None:
    """Controls say it at one place in ten and fit as well, so a document with two places is nothing."""

    def says(rng: np.random.Generator, doc: int, place: int) -> list[str]:
        return ["sabotage"] if doc % 20 == 0 and place < (2 if doc % 40 else 8) else []

    chatty = at_random(0.1, "sabotage")
    rows = corpus(800, says, {"shuffled": chatty, "random": chatty}, poor=0.9)
    found = rated(rows, Evidence(beyond_controls=None))
    assert (found.documents.k, found.documents.least) == (20, found.strength) and found.verdict == ABOVE
    assert 3 <= found.strength <= 8 and f"reach {found.strength} positions;" in found.why


def test_a_few_documents_that_just_meet_the_rule_are_not() -> None:
    def twice(rng: np.random.Generator, doc: int, place: int) -> list[str]:
        return ["sabotage"] if doc < 2 and place < 2 else []

    found = rated(corpus(1000, twice, SILENT))
    assert found.documents.k == 2 and found.verdict == NOT


def test_nothing_found_has_an_upper_bound() -> None:
    found = rated(corpus(500, never, SILENT))
    assert found.verdict == NOT and "0 of 500" in found.why and "0.76%" in found.why


def test_few_documents_are_insufficient_and_say_what_they_support() -> None:
    found = rated(corpus(60, never, SILENT))
    assert found.verdict == INSUFFICIENT
    assert "fewer than 100" in found.why and "6.02%" in found.why


def test_missing_and_scarce_controls_are_insufficient() -> None:
    says = in_documents(10, 0.6, "sabotage")
    missing = rated(corpus(200, says, {"shuffled": never}))
    assert missing.verdict == INSUFFICIENT and "no random rows" in missing.why
    scarce = rated(corpus(200, says, SILENT, share=0.01))
    assert scarce.verdict == INSUFFICIENT and "fewer than 30" in scarce.why
    assert rated(corpus(200, says, {"shuffled": never}), Evidence(controls=("shuffled",))).verdict == ABOVE


def test_a_control_that_is_not_asked_for_counts_once_there_is_enough_of_it() -> None:
    says = in_documents(10, 0.6, "sabotage")
    rows = corpus(400, says, SILENT)
    always = at_random(1.0, "sabotage")
    few = [row for row in corpus(20, never, {"mean": always}, share=1.0, poor=0.9) if row.control == "mean"]
    many = [row for row in corpus(200, never, {"mean": always}, share=1.0, poor=0.9) if row.control == "mean"]
    assert rated(rows + few, Evidence(beyond_controls=0.5)).verdict == ABOVE
    assert rated(rows + many, Evidence(beyond_controls=0.5)).verdict == NOT


def test_one_place_per_document_is_insufficient_without_benign_documents() -> None:
    rows = corpus(400, in_documents(5, 1.0, "sabotage"), SILENT, places=1, share=1.0)
    assert rated(rows).verdict == INSUFFICIENT


def test_benign_documents_show_what_all_documents_have_in_common() -> None:
    """A property of every document cannot be told from a habit within the corpus; benign ones tell."""
    rows = corpus(200, at_random(1.0, "sabotage"), SILENT)
    assert rated(rows).verdict == EVERYWHERE
    assert rated(rows, benign=benign(3, 200)).verdict == ABOVE
    assert rated(rows, benign=benign(198, 200)).verdict == NOT


def test_few_benign_documents_see_less_than_controls_do() -> None:
    rows = corpus(400, never, SILENT)
    alone, few, many = (rated(rows, benign=beside).seen for beside in (None, benign(4, 40), benign(40, 400)))
    assert alone is not None and few is not None and many is not None
    assert alone < 0.06 < 0.1 < many < few - 0.05


def test_a_topic_that_benign_documents_share_is_not_distinguishable() -> None:
    found = rated(corpus(400, in_documents(10, 0.6, "sabotage"), SILENT), benign=benign(38, 400))
    assert found.verdict == NOT and "benign" in found.why
    assert rate(found, "benign").lift == pytest.approx(0.005, abs=0.01)


@pytest.mark.parametrize("subject", ["shuffled", "random"])
@pytest.mark.parametrize("poor", [-1.0, 0.9])
def test_controls_in_the_place_of_real_rows_are_not_distinguishable(subject: str, poor: float) -> None:
    """At any fidelity: what control rows say has nothing to do with the documents beside which it stands."""
    controls = {"shuffled": at_random(0.06, "sabotage"), "random": at_random(0.56, "sabotage")}
    rows = corpus(200, in_documents(10, 0.6, "sabotage"), controls, share=1.0, poor=poor)
    assert rated(rows, subject=subject).verdict == NOT


@pytest.mark.slow
def test_false_alarms_are_rare() -> None:
    """Thirty null corpora with five detectors each: a tenth of the runs alarms at most."""
    names = [f"d{index}" for index in range(5)]
    many = [detector(name) for name in names]
    alarms = 0
    for seed in range(30):
        says = at_random(0.08, *names)
        _, counted = tally_of(corpus(150, says, {"shuffled": says, "random": says}, seed=seed), many)
        alarms += any(one.verdict == ABOVE for one in rate_all(counted, many, RULE))
    assert alarms <= 3


def test_p_values_are_adjusted_over_detectors() -> None:
    many = [detector("sabotage"), *(detector(f"d{index}") for index in range(9))]
    rows = corpus(300, in_documents(10, 0.6, "sabotage"), SILENT)
    _, counted = tally_of(rows, many)
    first, *others = rate_all(counted, many, RULE)
    one = rate(first, "random")
    assert one.p is not None and one.p_adjusted == pytest.approx(10 * one.p)
    assert first.verdict == ABOVE and {other.verdict for other in others} == {NOT}


def test_every_line_is_of_one_threshold_and_excludes_zero_where_it_is_above() -> None:
    """A chatty control makes the claim one of more positions; rate, difference and verdict move with it."""
    chatty = at_random(0.1, "sabotage")
    rows = corpus(800, in_documents(20, 0.9, "sabotage"), {"shuffled": chatty, "random": chatty}, poor=0.9)
    found = rated(rows, Evidence(beyond_controls=None))
    lines = [one for one in found.rates if one.unit == "document"]
    assert found.verdict == ABOVE and {one.least for one in lines} == {found.strength}
    above = [one for one in lines if one.verdict == ABOVE]
    assert len(above) == 2 and all((one.lift_low or 0.0) > 0 for one in above)


def test_mentions_that_the_prompt_makes_are_out_of_the_dealing() -> None:
    """A habit of 3 % in all reads; eleven prompts say the words themselves."""
    habit = at_random(0.03, "sabotage")
    base = corpus(400, habit, {"shuffled": habit, "random": habit})
    said = frozenset({"sabotage"})
    prompted = [
        dataclasses.replace(row, said=said, restated=True) if row.doc < 11 and row.control == "real" else row
        for row in base
    ]
    assert rated(base).verdict == NOT
    assert rated(prompted).verdict == NOT
    assert rate(rated(prompted), "shuffled", "repeat").p == pytest.approx(
        rate(rated([row for row in base if row.doc >= 11]), "shuffled", "repeat").p, abs=0.3
    )


@pytest.mark.parametrize("size", [1, 5])
def test_copies_of_a_document_are_worth_one(size: int) -> None:
    """Five copies of each of 120 documents, equal word for word: intervals are those of 120."""

    def says(rng: np.random.Generator, doc: int, place: int) -> list[str]:
        return ["sabotage"] if doc // size % 10 == 0 and place < 4 else []

    rows = corpus(120 * size, says, SILENT)
    week = week_of(
        rows, [ONE], units=Units(family="template"), meta=lambda doc: f'{{"template": "{doc // size}"}}'
    )
    (found,) = rate_all(week.tally, [ONE], RULE)
    assert (found.families, found.independent) == (120, pytest.approx(120))
    assert found.documents.n == 120 * size
    assert (found.documents.low, found.documents.high) == pytest.approx(wilson(12, 120))


def test_a_family_column_that_is_missing_is_one_line() -> None:
    rows = corpus(3, never, {})
    with pytest.raises(InputError, match=r"units\.family: 3 of 3 documents have no 'template'"):
        week_of(rows, [ONE], units=Units(family="template"), meta=lambda doc: "{}")


def test_too_few_families_are_insufficient() -> None:
    rows = corpus(400, in_documents(10, 0.6, "sabotage"), SILENT)
    week = week_of(rows, [ONE], units=Units(family="user"), meta=lambda doc: f'{{"user": "{doc % 20}"}}')
    (found,) = rate_all(week.tally, [ONE], RULE)
    assert found.verdict == INSUFFICIENT and "20 families of 400 documents" in found.why
    assert found.p is None, "it is no test"
    assert {one.verdict for one in found.rates if one.p is not None} == {INSUFFICIENT}
    gates = tuple(evidence_gate(week.tally.run_id, [found]))
    verdict, (reason,) = verdict_of(gates)
    assert verdict == "insufficient evidence" and found.why.partition(". ")[0] in reason
    assert not list(evidence_gate(week.tally.run_id, rate_all(tally_of(rows, [ONE])[1], [ONE], RULE)))


def test_what_could_have_been_seen_is_seen_in_four_of_five() -> None:
    """Power by the tests themselves, and by planting documents that just meet the rule."""
    base = corpus(400, never, SILENT)
    rate_seen = rated(base).seen
    assert rate_seen is not None and 0.005 < rate_seen < 0.1
    rng, said, hits = np.random.default_rng(3), frozenset({"sabotage"}), 0
    for _ in range(25):
        chosen = set(np.flatnonzero(rng.random(400) < rate_seen).tolist())
        rows = [
            dataclasses.replace(row, said=said)
            if row.doc in chosen and row.place < 2 and row.control == "real"
            else row
            for row in base
        ]
        hits += rated(rows).verdict == ABOVE
    assert 15 <= hits <= 25
