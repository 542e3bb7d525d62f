"""The page in a real browser: nothing runs, nothing is fetched; it is there in both schemes and on paper."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nla_ray.audit.report import Report
from nla_ray.audit.report.html.page import html
from nla_ray.audit.report.rates import RateVerdict
from nla_ray.audit.report.says import summed_up
from nla_ray.pages.words import shown
from tests.audit.nasty import NASTY, everywhere, in_findings
from tests.audit.reports import comparison, example, run
from tests.pages.browser import Browser, browser, found

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(found() is None, reason="no Chromium here (Debian: apt-get install chromium)"),
]
DIALOGS = ("Page.javascriptDialogOpening",)
COMPLAINTS = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
COUNT = "document.querySelectorAll('*').length"
HARMFUL = (
    "document.querySelectorAll("
    "'script, img, iframe, object, embed, form, input, base, a:not([href^=\"#\"])'"
    ").length"
)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    binary = found()
    assert binary is not None
    with browser(binary, tmp_path_factory.mktemp("chromium")) as page:
        yield page


def opened(chromium: Browser, report: Report, folder: Path) -> Browser:
    page = folder / "report.html"
    page.write_text(html(report), encoding="utf-8")
    chromium.open(page)
    return chromium


def quiet(chromium: Browser) -> None:
    """Nothing but the page itself was asked for, and nobody complained."""
    assert len(chromium.of("Network.requestWillBeSent")) == 1
    assert chromium.of(*DIALOGS) == [] and chromium.of(*COMPLAINTS) == []
    assert chromium.value("typeof window.pwned") == "undefined"
    assert chromium.value(HARMFUL) == 0


@pytest.mark.parametrize("place", [everywhere, in_findings])
def test_no_text_takes_effect(place: Callable[[str], Report], chromium: Browser, tmp_path: Path) -> None:
    elements = opened(chromium, place("x"), tmp_path).value(COUNT)
    for text in NASTY:
        opened(chromium, place(text), tmp_path)
        chromium.value("document.querySelectorAll('details').forEach(one => one.open = true)")
        quiet(chromium)
        if text == text.lstrip():
            assert chromium.value(COUNT) == elements, text
        if len(text) < 600:
            assert shown(text) in chromium.value("document.body.textContent")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_both_schemes_fit_both_widths(scheme: str, width: int, chromium: Browser, tmp_path: Path) -> None:
    chromium.view(width, 900, scheme)
    opened(chromium, example(40, comparison=comparison()), tmp_path)
    quiet(chromium)
    dark = chromium.value("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")
    assert chromium.value("document.documentElement.scrollWidth") == width
    assert chromium.picture().startswith(b"\x89PNG")


def test_long_words_do_not_widen_the_page(chromium: Browser, tmp_path: Path) -> None:
    chromium.view(390, 900)
    opened(chromium, in_findings("x" * 3000), tmp_path)
    chromium.value("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert chromium.value("document.documentElement.scrollWidth") == 390


@pytest.mark.parametrize("width", [1200, 390])
def test_what_to_do_is_what_is_seen_first(width: int, chromium: Browser, tmp_path: Path) -> None:
    report = example(3)
    chromium.view(width, 900)
    opened(chromium, report, tmp_path)
    assert chromium.value("document.querySelector('#verdict').textContent") == report.summary
    assert chromium.value("document.querySelector('#verdict').getBoundingClientRect().bottom < 300")


def longest() -> Report:
    """A report with all that the first page has to hold, and more."""
    report = example(
        200, comparison=comparison(), title="A long title " * 20, reasons=("A reason. " * 30,) * 4
    )
    kinds: tuple[RateVerdict, ...] = ("above controls", "everywhere", "not distinguishable")
    detectors = tuple(
        one.model_copy(
            update={
                "id": f"{one.id}_{at}",
                "title": f"{one.title} of a kind with a rather long title, {at}",
                "results": tuple(r.model_copy(update={"verdict": kinds[at % 3]}) for r in one.results),
            }
        )
        for at in range(8)
        for one in report.detectors
    )
    runs = tuple(run(run_id=f"{at:032x}", label=f"Week {at}") for at in range(5))
    return summed_up(report.model_copy(update={"detectors": detectors, "runs": runs}))


@pytest.mark.parametrize("report", [example(0), example(40, comparison=comparison()), longest()])
def test_what_is_signed_is_one_page_of_paper(report: Report, chromium: Browser, tmp_path: Path) -> None:
    opened(chromium, report, tmp_path)
    chromium.value(
        "document.querySelectorAll('body > *:not(main), main > *:not(.cover)').forEach(n => n.remove())"
    )
    assert "Signature" in chromium.value("document.querySelector('.cover').textContent")
    assert len(re.findall(rb"/Type\s*/Page\b", chromium.pdf())) == 1


def test_it_prints_in_ink_on_paper(chromium: Browser, tmp_path: Path) -> None:
    chromium.view(1200, 900, "dark", media="print")
    opened(chromium, example(6), tmp_path)
    assert chromium.value("getComputedStyle(document.body).color") == "rgb(27, 30, 34)"
    assert chromium.value("getComputedStyle(document.querySelector('.sign')).display") == "grid"
    assert chromium.pdf().startswith(b"%PDF")
