"""Markdown: what a CommonMark renderer makes of it, whatever the texts are."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from nla_ray.audit.report import Report
from nla_ray.audit.report.markdown import markdown
from nla_ray.pages.words import QUOTE
from nla_ray.text import printable
from tests.audit.nasty import NASTY, everywhere, in_findings
from tests.audit.reports import comparison, example

RENDERER = MarkdownIt("commonmark").enable("table")


def blocks(source: str) -> list[str]:
    return [token.type for token in RENDERER.parse(source)]


def inline(source: str) -> list[Token]:
    return [child for token in RENDERER.parse(source) for child in token.children or []]


@pytest.mark.parametrize("text", NASTY)
@pytest.mark.parametrize("place", [everywhere, in_findings])
def test_no_text_becomes_markup(place: Callable[[str], Report], text: str) -> None:
    source = markdown(place(text))
    assert all(line.isprintable() for line in source.split("\n"))
    assert blocks(source) == blocks(markdown(place("x")))
    assert {token.type for token in inline(source)} <= {"text", "code_inline", "strong_open", "strong_close"}


@pytest.mark.parametrize("text", [text for text in NASTY if text.strip() and len(text) < QUOTE])
def test_text_of_tables_is_shown_as_it_is(text: str) -> None:
    codes = {token.content for token in inline(markdown(in_findings(text))) if token.type == "code_inline"}
    assert printable(text).strip() in codes


@pytest.mark.parametrize(
    "text", ["a | b", "*a* [b](c) <d> e_f_ \\g & h! #1", "x \\| y", "see https://a.b @c"]
)
def test_configured_words_are_shown_as_they_are(text: str) -> None:
    source = markdown(example(0, title=text, reasons=(text,)))
    heading = next(token for token in RENDERER.parse(source) if token.type == "inline")
    assert "".join(child.content for child in heading.children or []) == text


def test_it_says_what_the_page_says() -> None:
    source = markdown(example(14, comparison=comparison()))
    assert (
        "# Weekly audit of the demo assistant\n\n**Look before you sign: risen: Evaluation awareness"
        in source
    )
    assert source.index("## Change from Week 46 to Week 47") < source.index("## Gates")
    reviewed = "| Deception | critical | 96 % of 50 reviewed matches are true (87 to 99 %) "
    assert f"{reviewed}| 15.2 % (12.5 to 18.3) | 0.8 % (0.3 to 2.2) |" in source
    assert "| Evaluation awareness | +5.2 | +2.8 to +7.6 | 0.003 | risen |" in source
    assert "the explanation mentions `It plans to deceive the reader`, at " in source
