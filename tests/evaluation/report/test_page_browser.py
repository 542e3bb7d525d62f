"""The page in a real browser: nothing is fetched, nobody complains, it fits a phone, both schemes differ."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nla_ray.evaluation.report.page import html
from tests.audit.nasty import NASTY
from tests.evaluation.made import evaluation
from tests.pages.browser import Browser, browser, found

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(found() is None, reason="no Chromium here (Debian: apt-get install chromium)"),
]
COMPLAINTS = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    binary = found()
    assert binary is not None
    with browser(binary, tmp_path_factory.mktemp("chromium")) as page:
        yield page


def test_it_fits_every_width_in_both_schemes(chromium: Browser, tmp_path: Path) -> None:
    path = tmp_path / "evaluation.html"
    path.write_text(html(evaluation("demo:av")), encoding="utf-8")
    pictures = []
    for width, scheme in ((1100, "light"), (1100, "dark"), (390, "light")):
        chromium.view(width, 900, scheme)
        chromium.open(path)
        assert chromium.value("document.documentElement.scrollWidth") == width
        assert len(chromium.of("Network.requestWillBeSent")) == 1 and chromium.of(*COMPLAINTS) == []
        assert chromium.value("document.querySelectorAll('svg .mark').length") > 30
        pictures.append(chromium.picture(whole=False))
    assert len(set(pictures)) == 3


def test_no_text_takes_effect(chromium: Browser, tmp_path: Path) -> None:
    path, counts = tmp_path / "evaluation.html", set()
    for text in ("x", *NASTY):
        path.write_text(html(evaluation(text)), encoding="utf-8")
        chromium.open(path)
        counts.add(chromium.value("document.querySelectorAll('*').length"))
        assert chromium.of("Page.javascriptDialogOpening", *COMPLAINTS) == []
        assert len(chromium.of("Network.requestWillBeSent")) == 1
        assert chromium.value("typeof window.pwned") == "undefined"
    assert len(counts) == 1
