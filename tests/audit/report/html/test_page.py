"""The page: what it leads with, what it shows and cuts, and that no text of a table becomes markup."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from html.parser import HTMLParser
from importlib.resources import files

import pytest

from nla_ray.audit.report import Report
from nla_ray.audit.report.html.page import html
from nla_ray.audit.report.outline import MOST_FINDINGS, MOST_OF_DETECTOR
from nla_ray.config.detectors.model import Estimate, Validation
from nla_ray.pages.words import shown
from tests.audit.nasty import NASTY, everywhere, in_findings
from tests.audit.reports import comparison, example, gates


class Page(HTMLParser):
    """Tags, attributes and text of a page, and the text inside of table cells."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: Counter[str] = Counter()
        self.attributes: set[tuple[str, str]] = set()
        self.text = ""
        self.cells = ""
        self._cells = 0
        self._hidden = False
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.text += " "
        self.attributes |= {(name, value or "") for name, value in attrs}
        self._cells += tag in ("td", "th")
        self._hidden = tag in ("style", "title")

    def handle_endtag(self, tag: str) -> None:
        self._cells -= tag in ("td", "th")
        self._hidden = False

    def handle_data(self, data: str) -> None:
        self.text += "" if self._hidden else data
        self.cells += data if self._cells else ""


def check_only_text(text: str, page: Page, harmless: Page) -> None:
    """That a text is shown, and that the page is otherwise what it is with a harmless one."""
    assert shown(text) in page.text or len(text) > 600
    assert not any(not char.isprintable() for char in page.text.replace("\n", ""))
    assert not any(name.startswith("on") for name, _ in page.attributes)
    assert {value for name, value in page.attributes if name in ("href", "src")} == {
        value for name, value in harmless.attributes if name in ("href", "src")
    }
    if text == text.lstrip():
        assert page.tags == harmless.tags


def words(report: Report) -> str:
    """All words of the page with single spaces."""
    return " ".join(Page(html(report)).text.split())


@cache
def plain(place: Callable[[str], Report]) -> Page:
    return Page(html(place("x")))


@pytest.mark.parametrize("text", NASTY)
@pytest.mark.parametrize("place", [everywhere, in_findings])
def test_no_text_becomes_markup(place: Callable[[str], Report], text: str) -> None:
    check_only_text(text, Page(html(place(text))), plain(place))


def test_nothing_is_loaded_and_nothing_runs() -> None:
    source = html(example(12, comparison=comparison()))
    page = Page(source)
    assert not {"script", "img", "iframe", "object", "embed", "form", "base"} & page.tags.keys()
    links = {value for name, value in page.attributes if name in ("href", "src")}
    assert all(link.startswith("#") or link == "data:," for link in links)
    assert (
        "default-src 'none'; style-src 'sha256-" in source
        and "url(" not in source
        and "@import" not in source
    )


def test_text_of_tables_stands_in_no_cell_that_a_spreadsheet_would_take() -> None:
    assert "=cmd" not in Page(html(in_findings("=cmd|' /C calc'!A0"))).cells


def test_every_link_has_its_place() -> None:
    for report in (example(3), example(3, comparison=comparison())):
        attributes = Page(html(report)).attributes
        places = {f"#{value}" for name, value in attributes if name == "id"}
        assert {value for name, value in attributes if name == "href" and value.startswith("#")} <= places


def test_what_to_do_leads() -> None:
    report = example(14)
    text = words(report)
    order = ["Weekly audit", report.summary, "Can these numbers be used?", "What was found?", "Tested by",
             "Signature", "What was tested", "Conditions under which", "The share of documents",
             "Tokens that were read", "An explanation is text", "Verbalizer (AV)", "NIST AI RMF",
             "Every rate"]  # fmt: skip
    places = [text.index(word) for word in order]
    assert places == sorted(places)
    assert (
        "These numbers can be used." in text and "5 critical, 7 high and 2 medium findings of 6 kinds" in text
    )
    assert "the model thinks" not in text.replace("never says that the model thinks", "").replace(
        "does not show that the model thinks", ""
    )


def test_an_audit_whose_gates_failed_says_so_at_its_findings() -> None:
    text = words(example(6, verdict="not reportable", reasons=("Fidelity is 0.41.",), gates=gates(False)))
    assert "Fidelity is 0.41." in text and "must not be cited" in text
    assert "These numbers cannot be used: what follows is no finding about the model." in text


def test_words_of_detectors_cannot_be_taken_for_the_strength_of_a_finding() -> None:
    text = words(example(14))
    assert "strong evidence" not in text and "weak evidence" not in text and "eportable" not in text
    assert "names the thing itself" in text and "names a sign of it" in text
    assert "96 % of 50 reviewed matches are true (87 to 99 %)" in text
    assert "precision not known, fewer than 50 of its matches were reviewed" in text


def test_raw_rates_stand_beside_those_that_are_tested() -> None:
    report = example(3)
    (result,) = report.detectors[0].results
    raw = result.rates[1].model_copy(update={"unit": "row", "rate": 0.4321})
    changed = report.detectors[0].model_copy(
        update={"results": (result.model_copy(update={"rates": (*result.rates, raw)}),)}
    )
    text = words(report.model_copy(update={"detectors": (changed, *report.detectors[1:])}))
    assert "Rows with any mention" in text and "43.2 %" in text.split("All numbers Every rate")[0]


def test_what_would_be_seen_is_not_said_of_what_was_seen() -> None:
    report = example(3)
    values = [
        one.model_copy(update={"results": tuple(r.model_copy(update={"seen": 0.2}) for r in one.results)})
        for one in report.detectors
    ]
    text = words(report.model_copy(update={"detectors": tuple(values)})).split("Findings Tokens")[0]
    # Only valence is not above its controls and yet judged; it is mentioned in more documents than that.
    assert text.count("would have been flagged in 80 % of cases") == 1
    assert "this one is mentioned in more, and was not, for the reason given" in text


def test_no_finding_is_not_none() -> None:
    text = words(example(0, verdict="insufficient evidence", reasons=("0 of 60.",), gates=gates(None)))
    assert "Too little was read" in text and "not known" in text
    assert "That is not the same as none" in text


def test_many_findings_are_cut_and_the_page_says_where_they_all_are() -> None:
    page = Page(html(example(600)))
    text = " ".join(page.text.split())
    assert "This page shows 150 of 600 findings" in text and MOST_OF_DETECTOR * 6 == 150 < MOST_FINDINGS
    assert 'nla-ray sql TABLES "SELECT * FROM findings"' in text
    assert page.tags["details"] < 200


def test_a_report_that_holds_some_findings_counts_all() -> None:
    report = example(60)
    cut = report.model_copy(update={"findings": report.findings[:10]})
    text = words(cut)
    assert (
        "of 60 findings" in text and "report.json lists 10 documents with hits: 10 of the 60 findings" in text
    )


def test_a_finding_shows_its_tokens_and_what_is_missing() -> None:
    one = example(1)
    text = words(one)
    assert "The explanation mentions “it feels watched and graded”" in text
    assert "(the text without the model's own answers) does not say it" in text and "Evidence score" in text
    bare = {"evidence": (), "contexts": (), "parts": (), "score": None, "restated": None, "source": None}
    assert "could not be checked" in words(
        one.model_copy(update={"findings": (one.findings[0].model_copy(update=bare),)})
    )


def test_change_shows_new_and_gone_findings() -> None:
    report = example(6, comparison=comparison())
    states = ("new", "absent", "unchanged")
    marked = [one.model_copy(update={"state": states[at % 3]}) for at, one in enumerate(report.findings)]
    text = words(report.model_copy(update={"findings": tuple(marked)}))
    assert "Change from Week 46 to Week 47" in text and "risen" in text
    assert "Gone since before" in text and "Fidelity drift" in text


def test_every_number_is_in_the_appendix() -> None:
    report = example(0)
    text = words(report).split("All numbers")[-1]
    for detector in report.detectors:
        for rate in detector.results[0].rates:
            assert f"{rate.population} document {rate.k} {rate.n} {rate.rate * 100:.3f}" in text


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb (WCAG 2.2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_can_be_read_in_both_schemes() -> None:
    style = files("nla_ray.pages").joinpath("templates", "style.css").read_text(encoding="utf-8")
    light, dark = (dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in style.split("@media")[:2])
    grounds = {"ink": ("paper", "panel", "f0", "f1", "f2", "f3", "f4", "mark"), "soft": ("paper", "panel")}
    grounds |= dict.fromkeys(("real", "good", "bad", "open", "control", "benign"), ("paper", "panel"))
    assert light.keys() == dark.keys()
    for scheme in (light, dark):
        for front, backs in grounds.items():
            for back in backs:
                dim, bright = sorted((luminance(scheme[front]), luminance(scheme[back])))
                assert (bright + 0.05) / (dim + 0.05) >= 4.5, (front, back)


def test_precision_and_recall_stand_with_their_intervals() -> None:
    report = example()
    said = Validation(
        tp=50, fp=10, tn=40, fn=2, source="a review",
        precision=Estimate(rate=0.83, low=0.72, high=0.91), recall=Estimate(rate=0.7, low=0.4, high=0.9),
    )  # fmt: skip
    first = report.detectors[0].model_copy(update={"validation": said})
    page = words(report.model_copy(update={"detectors": (first, *report.detectors[1:])}))
    assert "83 % of 60 reviewed matches are true (72 to 91 %)" in page
    assert "Recall 70 % of matches and near misses that say it (95 % interval 40 to 90 %)" in page
