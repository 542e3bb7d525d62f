"""The page: what it says, that no text becomes markup, that it stands where nothing was measured."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest

from nla_ray.evaluation.model import Evaluation, Planted, Share
from nla_ray.evaluation.report.page import html
from tests.audit.nasty import NASTY
from tests.evaluation.made import evaluation


class Page(HTMLParser):
    """Tags, links and text of a page."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.links: set[str] = set()
        self.handlers: set[str] = set()
        self.text = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links |= {value or "" for name, value in attrs if name in ("href", "src")}
        self.handlers |= {name for name, _ in attrs if name.startswith("on")}

    def handle_data(self, data: str) -> None:
        self.text += data


PLAIN = Page(html(evaluation()))


@pytest.mark.parametrize("text", NASTY)
def test_no_text_becomes_markup(text: str) -> None:
    page = Page(html(evaluation(text)))
    assert page.tags == PLAIN.tags and page.links == PLAIN.links and not page.handlers
    assert "</script" not in evaluation(text).json_text()


def test_nothing_is_loaded_and_nothing_runs() -> None:
    assert not {"script", "img", "iframe", "object", "form", "base"} & set(PLAIN.tags)
    assert all(link.startswith("#") or link == "data:," for link in PLAIN.links)


def test_it_leads_with_the_verdict() -> None:
    words = " ".join(PLAIN.text.split())
    assert "Above every control" in words and "Nothing that this pair writes" not in words
    broken = " ".join(Page(html(evaluation(verdict="broken"))).text.split())
    assert "Nothing that this pair writes is evidence" in broken
    assert "Insufficient evidence" in html(evaluation(verdict="insufficient evidence"))


def test_it_stands_where_nothing_was_measured() -> None:
    values = json.loads(evaluation().json_text())
    nothing = {"rows": 0, "documents": 0, "mean": None, "low": None, "high": None}
    for one in values["measured"]:
        one |= {
            "fve_nrm": nothing,
            "distribution": None,
            "cos": None,
            "mse_nrm": None,
            "words": None,
            "tokens": {},
        }
        one |= {"fve_nrm_own": None, "fve_nrm_meannorm": None, "fve_nrm_of_documents": None}
    channel = values["robustness"]
    channel |= {"texts": 0, "intact": nothing, "largest_difference": None}
    for part in channel["edits"]:
        part |= {"texts": 0, "changed": 0, "intact": nothing, "edited": nothing, "change": nothing}
    for part in channel["lengths"]:
        part["fve_nrm"] = nothing
    values |= {
        "buckets": [],
        "recurrence": [],
        "distractors": [],
        "neighbour_distance": None,
        "own_variance": None,
    }
    values["times"] |= {"seconds_per_vector": None, "vectors_per_second": None}
    page = Page(html(Evaluation.model_validate(values)))
    assert "There is nothing to tell apart" in page.text and "There are no two texts" in page.text
    values["measured"] = values["measured"][1:]
    assert html(Evaluation.model_validate(values))


def test_planted_truth_is_shown_where_it_is_known() -> None:
    share = Share(k=1, n=2, share=0.5, low=0.1, high=0.9)
    none = Share(k=0, n=0, share=None, low=0.0, high=1.0)
    planted = [
        Planted(control=control, prop=prop, recall=one, precision=one, chance=0.1)
        for control in ("real", "random")
        for prop, one in (("topic", share), ("evaluation_awareness", none))
    ]
    page = Page(html(evaluation(planted=planted, agreement=[{"samples": 2, "true": share}])))
    assert "Planted truth" in page.text and "evaluation awareness" in page.text
    assert "Planted truth" not in PLAIN.text


def test_data_is_read_again_as_it_was_written() -> None:
    made = evaluation()
    assert Evaluation.model_validate_json(made.json_text()).json_text() == made.json_text()
