"""The fleet's page in a real browser: nothing is refused or fetched, and it fits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nla_ray.fleet.report.page import html
from tests.audit.nasty import NASTY
from tests.audit.report.html.test_page_browser import quiet
from tests.fleet.reports import everywhere, example
from tests.pages.browser import Browser, browser, found

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(found() is None, reason="no Chromium here (Debian: apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    binary = found()
    assert binary is not None
    with browser(binary, tmp_path_factory.mktemp("chromium")) as page:
        yield page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_both_schemes_fit_both_widths(scheme: str, width: int, chromium: Browser, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(html(example()), encoding="utf-8")
    chromium.view(width, 900, scheme)
    chromium.open(page)
    chromium.value("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert len(chromium.of("Network.requestWillBeSent")) == 1 and chromium.of("Log.entryAdded") == []
    dark = chromium.value("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")
    assert chromium.value("document.documentElement.scrollWidth") == width


def test_no_text_takes_effect(chromium: Browser, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(html(everywhere("".join(NASTY))).replace('href="../', 'href="#'), encoding="utf-8")
    chromium.open(page)
    quiet(chromium)
