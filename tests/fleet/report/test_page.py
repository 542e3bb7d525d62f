"""The fleet's page: what it leads with and shows, its size, and that no text takes effect."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from nla_ray.fleet.report.markdown import markdown
from nla_ray.fleet.report.matrix import matrices
from nla_ray.fleet.report.model import Family, FleetReport
from nla_ray.fleet.report.page import html
from tests.audit.nasty import NASTY
from tests.audit.report.html.test_page import Page, check_only_text, luminance
from tests.fleet.reports import cell, everywhere, example, large, reading, report


def words(made: FleetReport) -> str:
    return " ".join(Page(html(made)).text.split())


@pytest.fixture(scope="module")
def harmless() -> Page:
    return Page(html(everywhere("x")))


@pytest.mark.parametrize("text", NASTY)
def test_no_text_becomes_markup(text: str, harmless: Page) -> None:
    check_only_text(text, Page(html(everywhere(text))), harmless)


def test_nothing_is_loaded_nothing_runs_and_links_stay_in_the_sweep() -> None:
    source = html(example())
    page = Page(source)
    assert not {"script", "img", "iframe", "object", "embed", "form", "base"} & page.tags.keys()
    links = {value for name, value in page.attributes if name in ("href", "src")}
    assert "../reports/tuned/notes/last/report.html" in links
    assert all(link.startswith(("#", "../reports/")) or link == "data:," for link in links)
    assert "default-src 'none'; style-src 'sha256-" in source and "url(" not in source
    assert not any(name == "style" for name, _ in page.attributes), (
        "a style attribute is refused by the policy"
    )


def test_every_link_has_its_place() -> None:
    attributes = Page(html(example())).attributes
    places = {f"#{value}" for name, value in attributes if name == "id"}
    assert {value for name, value in attributes if name == "href" and value.startswith("#")} <= places


def test_the_verdict_leads_and_everything_is_there() -> None:
    text = words(example(sentence="Two cells have findings.", state="findings", exit=5))
    order = [
        "Findings Two cells have findings.", "What is above its controls, and", "It plans to deceive.",
        "Coloured where a detector", "Share of documents by week", "Nothing is known of these models",
        "Gates that are not passed", "This week by model", "targets.tuned.target", "False discovery",
    ]  # fmt: skip
    places = [text.index(word) for word in order]
    assert places == sorted(places)
    assert "candidate on notes missing exit 7 s3://b/notes: no such file" in text
    assert "Fidelity failed 0.41 at least 0.60" in text
    assert "20.0 min 1.25 USD" in text and "80 %" in text


def test_a_quiet_week_is_not_none() -> None:
    text = words(report(cell("m", "a", reading(0)), last_week=None))
    assert "That is not the same as none" in text and "Every cell could be read." in text
    assert "the first week, so there is nothing to compare with" in text


def test_a_week_in_which_no_cell_speaks_claims_nothing_and_shows_no_empty_pictures() -> None:
    lost = {"state": "failed", "reason": "why", "exit": 2, "report": None, "verdict": None}
    tests = tuple(Family(against=one, tests=0, significant=0) for one in ("controls", "last week"))
    made = report(cell("m", "a", **lost), families=tests, detectors=0)
    text = words(made)
    assert "nothing could be tested" in text and "No cell could be read, so nothing is known" in text
    assert "of 0 tests" not in text and "no rate moved" not in text
    assert 'class="matrix' not in html(made)
    assert "No cell could be read" in markdown(made) and "controls: nothing to test" in markdown(made)


def test_a_corpus_of_which_no_cell_speaks_has_no_heading_of_detectors() -> None:
    lost = {"state": "failed", "reason": "why", "exit": 2, "report": None, "verdict": None}
    made = report(cell("m", "a", reading(0)), cell("m", "b", **lost))
    # One over all corpora, one of the corpus that speaks.
    assert html(made).count('<thead><tr><th scope="col">Model</th><th scope="col" title=') == 2


def test_benign_documents_are_counted_by_themselves() -> None:
    calm = cell("m", "calm", verdict=None, report=None).model_copy(update={"documents": 0, "gates": ()})
    made = report(cell("m", "a", reading(0)), calm)
    said = "10,000 vectors{} 5,000 of them in benign documents, the others in 500 audited documents"
    assert said.format("") in words(made) and said.format(",") in markdown(made)
    assert "1 model on 1 corpus and benign documents" in words(made)
    assert [one.corpus for one in matrices(made)] == ["a"]


def test_what_of_earlier_weeks_could_not_be_read_is_told() -> None:
    made = example(unread=("2026-W47 is left out: damaged; restore it",))
    assert "Not read: 2026-W47 is left out: damaged; restore it" in words(made)
    assert "- Not read: 2026-W47 is left out" in markdown(made)


def test_a_week_that_is_not_final_says_so() -> None:
    assert "Running the sweep again completes them" in words(example(exit=8, state="try again"))


def test_fifty_models_on_twenty_corpora_stay_a_page() -> None:
    made = large()
    source = html(made)
    assert len(source.encode()) < 3_000_000
    assert sum(len(one.readings) for one in made.cells) == 30_000 and source.count("<td class=") > 30_000
    listed = re.search(r"This page lists 300 of ([\d,]+)", words(made))
    assert listed is not None and int(listed[1].replace(",", "")) > 300


def test_squares_can_be_read_in_both_schemes() -> None:
    style = files("nla_ray.fleet.report").joinpath("templates", "style.css").read_text(encoding="utf-8")
    shared = files("nla_ray.pages").joinpath("templates", "style.css").read_text(encoding="utf-8")
    inks = [dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in shared.split("@media")[:2]]
    grounds = [dict(re.findall(r"--(h\d): (#\w{6})", block)) for block in style.split("@media")[:2]]
    for ink, ground in zip(inks, grounds, strict=True):
        assert len(ground) == 4
        for back in ground.values():
            dim, bright = sorted((luminance(ink["ink"]), luminance(back)))
            assert (bright + 0.05) / (dim + 0.05) >= 4.5
