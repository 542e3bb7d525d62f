"""The review's page as a browser meets it: its server, its keys, its looks; and what others are refused."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from pathlib import Path
from queue import Queue

import httpx2
import pytest

from nla_ray.audit.review.draw import Item
from nla_ray.audit.review.labels import Label
from nla_ray.cli.review.server import serve
from nla_ray.pipelines.review.sittings import Sitting, verdicts
from nla_ray.store import open_store
from tests.audit.nasty import NASTY
from tests.pages.browser import Browser, browser, found

CLAIMS = {"secrecy": "Keeps a secret: <b>hides</b> what it knows"}
STRATA = json.dumps({"hit": 3, "vocabulary": 9})


def item(at: int, text: str) -> Item:
    return Item(
        f"abc-{at}", "secrecy", "r" * 32, "week1", f"row{at}", 0, f"doc{at}", f"doc{at}",
        "shuffled" if at % 2 else "real", "hit", STRATA, text,
    )  # fmt: skip


ITEMS = {one.hit: one for one in (item(at, f"It holds back {NASTY}.") for at in range(4))}


@pytest.fixture
def sitting(tmp_path: Path) -> Sitting:
    return Sitting(open_store(tmp_path / "tables"), "a" * 24 + "-0", "Ann", ITEMS)


@pytest.fixture
def address(sitting: Sitting) -> Iterator[str]:
    """The page's address, while its server runs; it stops by itself when it is left alone."""
    told: Queue[str] = Queue()
    thread = threading.Thread(target=serve, args=(sitting, CLAIMS, told.put, 10.0))
    thread.start()
    yield told.get(timeout=5)
    thread.join(timeout=30)
    assert not thread.is_alive()


def end(address: str) -> None:
    assert httpx2.post(f"{address}end", json={}).status_code == 200


def test_what_is_asked_tells_neither_stratum_nor_control(address: str) -> None:
    answer = httpx2.get(f"{address}items")
    assert [sorted(one) for one in answer.json()] == [["claim", "hit", "note", "text", "verdict"]] * 4
    assert "'unsafe" not in (policy := answer.headers["content-security-policy"]) and "script-src" in policy
    end(address)


def test_a_verdict_is_kept_and_the_last_word_counts(address: str, sitting: Sitting, tmp_path: Path) -> None:
    for verdict in ("false", "true"):
        said = {"hit": "abc-1", "verdict": verdict, "note": "why"}
        assert httpx2.post(f"{address}say", json=said).status_code == 200
    end(address)
    sitting.close()
    kept = verdicts(open_store(tmp_path / "tables"))
    assert [(one["hit"], one["verdict"], one["note"]) for one in kept] == [("abc-1", "true", "why")]


class Slow(Sitting):
    """Of a store that takes its time for a verdict."""

    begun, go_on = threading.Event(), threading.Event()

    def say(self, label: Label) -> None:
        """As any sitting, once it may."""
        self.begun.set()
        assert self.go_on.wait(10)
        super().say(label)


def test_a_verdict_that_is_being_kept_at_the_end_is_kept_and_no_other(tmp_path: Path) -> None:
    sitting, told = Slow(open_store(tmp_path / "tables"), "a" * 24 + "-0", "Ann", ITEMS), Queue[str]()
    with ThreadPoolExecutor(3) as pool:
        served = pool.submit(serve, sitting, CLAIMS, told.put)
        address = told.get(timeout=5)

        def say(hit: str) -> int:
            return httpx2.post(f"{address}say", json={"hit": hit, "verdict": "true", "note": ""}).status_code

        first = pool.submit(say, "abc-0")
        assert sitting.begun.wait(5)
        second = pool.submit(say, "abc-1")
        time.sleep(0.5)
        end(address)
        assert not wait_for([served], timeout=1).done
        sitting.go_on.set()
        served.result(timeout=10)
        assert (sitting.close(), first.result(), second.result()) == (1, 200, 409)


@pytest.mark.parametrize(
    ("code", "ask"),
    [
        (403, lambda base: httpx2.get(base.rsplit("/", 2)[0] + "/wrong/items")),
        (403, lambda base: httpx2.get(base.removesuffix("/"))),
        (403, lambda base: httpx2.get(f"{base}items", headers={"Host": "evil.example"})),
        (403, lambda base: httpx2.post(f"{base}say", json={}, headers={"Origin": "http://evil.example"})),
        (404, lambda base: httpx2.get(f"{base}etc/passwd")),
        (415, lambda base: httpx2.post(f"{base}say", data={"hit": "abc-1"})),
        (413, lambda base: httpx2.post(f"{base}say", json={"note": "x" * 70_000})),
        (409, lambda base: httpx2.post(f"{base}say", json={"hit": "x", "verdict": "true", "note": ""})),
        (409, lambda base: httpx2.post(f"{base}say", json={"hit": "abc-1", "verdict": "yes", "note": ""})),
        (409, lambda base: httpx2.post(f"{base}say", json=[1])),
    ],
)
def test_what_is_no_verdict_of_this_page_is_refused(
    address: str, sitting: Sitting, code: int, ask: Callable[[str], httpx2.Response]
) -> None:
    answer = ask(address)
    assert answer.status_code == code and answer.json()["error"]
    assert not sitting.said
    end(address)


@pytest.mark.slow
@pytest.mark.skipif(found() is None, reason="no Chromium here (Debian: apt-get install chromium)")
def test_keys_judge_in_a_browser(address: str, sitting: Sitting, tmp_path: Path) -> None:
    binary = found()
    assert binary is not None
    with browser(binary, tmp_path) as chromium:
        chromium.view(390, 800, "dark")
        chromium.call("Page.navigate", url=address)
        wait(lambda: chromium.value("document.getElementById('text')?.textContent"))
        assert chromium.value("document.querySelectorAll('blockquote *, h1 *').length") == 0
        assert chromium.value("document.documentElement.scrollWidth") <= 390
        for key in ("t", "f", "b", "u", "s", "n"):
            press(chromium, key)
        wait(lambda: chromium.value("busy") is False)
        chromium.call("Input.insertText", text="perhaps true")
        chromium.value("document.querySelector('[data-verdict=true]').click()")
        wait(lambda: len(sitting.said) == 3)
        press(chromium, "q")
        wait(lambda: chromium.value("document.getElementById('over').textContent").startswith("Everything"))
        assert chromium.of("Log.entryAdded", "Runtime.exceptionThrown", "Page.javascriptDialogOpening") == []
        assert chromium.value("typeof window.pwned") == "undefined"
    said = {hit: (row["verdict"], row["note"]) for hit, row in sitting.said.items()}
    assert said == {"abc-0": ("true", ""), "abc-1": ("unclear", ""), "abc-3": ("true", "perhaps true")}


def press(chromium: Browser, key: str) -> None:
    """A key, once what was pressed before is kept."""
    wait(lambda: chromium.value("busy") is False)
    chromium.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=key)
    chromium.call("Input.dispatchKeyEvent", type="keyUp", key=key)


def wait(until: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not until():
        assert time.monotonic() < end
        time.sleep(0.05)
