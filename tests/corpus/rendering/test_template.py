"""The template's options and its clock."""

from __future__ import annotations

from datetime import datetime

import pytest

from nla_ray.corpus.rendering.model import RenderError
from tests.corpus.rendering.parts import NOON, rendered, said, user


@pytest.mark.parametrize(
    "form", ["%Y-%m-%d", "%d %B %Y", "%-d.%-m.", "100%% on %A", "%%d", "%H:%M:%S.%f", "no date", "%j%%%y"]
)
def test_the_clock_stands_at_the_given_date(form: str) -> None:
    template = "{{ strftime_now('" + form + "') }}|{% for m in messages %}{{ m.content }}{% endfor %}"
    assert rendered(template, user("Go")).text == NOON.strftime(form) + "|Go"


def test_a_date_that_is_computed_with() -> None:
    template = "\n  {% if strftime_now is defined %}{{ 'x' * (strftime_now('%d') | int) }}{% endif %}Go"
    assert rendered(template, user("Go"), now=datetime(2031, 5, 3)).text == "\n" + "xxx" + "Go"


def test_a_template_that_asks_for_the_date_needs_one() -> None:
    with pytest.raises(RenderError, match="strftime_now"):
        rendered("gptoss", user(), now=None)
    assert rendered("chatml", user(), now=None).text


def test_options_reach_the_template() -> None:
    assert "Effort: low" in rendered("gptoss", user(), options={"reasoning_effort": "low"}).text
    assert "Date: today" in rendered("llama3", user(), options={"date_string": "today"}).text
    quiet = rendered("qwen3", user(), options={"enable_thinking": False}, to_answer=True)
    assert quiet.text.endswith("<think>\n\n</think>\n\n")


@pytest.mark.parametrize("name", ["enable_thinking", "content_", "essage"])
def test_an_option_that_the_template_does_not_know(name: str) -> None:
    with pytest.raises(RenderError, match=f"knows no option '{name}'"):
        rendered("chatml", user(), options={name: True})


@pytest.mark.parametrize("name", ["messages", "tools", "add_generation_prompt", "tokenize", "strftime_now"])
def test_what_is_given_by_other_means_is_no_option(name: str) -> None:
    with pytest.raises(RenderError, match="no option of a chat template"):
        rendered("qwen3", user(), options={name: True})


def test_a_template_with_a_mistake_refuses_in_words() -> None:
    for template in ("{% for m in messages %}", "{{ messages[7].content + 1 }}", "{{ 1 / 0 }}"):
        with pytest.raises(RenderError, match="the chat template refuses it: "):
            rendered(template, user(), said("Fine."))
