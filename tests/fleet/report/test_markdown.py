"""The fleet's report as Markdown."""

from __future__ import annotations

import pytest

from nla_ray.fleet.report.markdown import markdown
from tests.audit.nasty import NASTY
from tests.audit.report.test_markdown import blocks, inline
from tests.fleet.reports import cell, everywhere, example, reading, report


@pytest.mark.parametrize("text", NASTY)
def test_no_text_becomes_markup(text: str) -> None:
    source = markdown(everywhere(text))
    assert all(line.isprintable() for line in source.split("\n"))
    assert blocks(source) == blocks(markdown(everywhere("x")))
    assert {token.type for token in inline(source)} <= {"text", "code_inline", "strong_open", "strong_close"}


def test_it_says_what_the_page_says() -> None:
    source = markdown(example(state="findings", exit=5))
    assert "# Sweep fleet, week 2026-W48\n\n**Findings** (exit code 5). All is well." in source
    assert "| Detector 0 | critical | tuned | notes | 15.0 % (12 to 18) | +14.0 (p 0.001): risen |" in source
    assert (
        "- New document `doc-1` of tuned on notes, Detector 0: the explanation mentions `It plans" in source
    )
    assert "| candidate on notes | missing | `s3://b/notes: no such file` |" in source
    assert '| `targets.tuned.target` | `"a"` | `"b"` |' in source
    assert "controls: 11 tests, 2 significant" in source


def test_a_quiet_week_is_not_none() -> None:
    source = markdown(report(cell("m", "a", reading(0))))
    assert "That is not the same as none" in source and "Cells that say nothing" not in source
