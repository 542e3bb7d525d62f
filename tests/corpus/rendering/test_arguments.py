"""Arguments of calls: in the form that the template takes, labelled from first character to last."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nla_ray.corpus.chats.model import Call, Message
from nla_ray.corpus.rendering.model import Rendered, RenderError
from tests.corpus.rendering.parts import pieces, rendered, said, user

RICH = {
    "port": 'Bodø "north"\n\\ & <b>',
    "n": 2,
    "x": -1.5e30,
    "on": True,
    "off": None,
    "no": False,
    "in": {"er": [1, "two", {"three": []}], "": "", "blank": " "},
    "🐟": "cod",
    "last": [None, {}],
}


def called(family: str, *arguments: Any) -> Rendered:
    """One message with a call for each arguments."""
    return rendered(family, user(), said("", "", *(Call("tide", one) for one in arguments)))


def calling(call: str) -> str:
    """A template that writes each call in the given way."""
    loop = "{% for c in m.tool_calls %}{% set f = c.function %}" + call + "{% endfor %}"
    return "{% for m in messages %}{{ m.content }}" + loop + "{% endfor %}"


def written(found: Rendered) -> list[str]:
    """The characters of each call's arguments."""
    return [text for _, label, text in pieces(found) if label == "tool_call"][1::2]


@pytest.mark.parametrize("family", ["qwen3", "qwen25", "mistral", "llama3", "gptoss"])
@pytest.mark.parametrize("as_text", [False, True])
def test_json_is_labelled_whole(family: str, as_text: bool) -> None:
    found = called(family, json.dumps(RICH) if as_text else RICH)
    assert [json.loads(one) for one in written(found)] == [RICH]
    assert not found.dropped


@pytest.mark.parametrize("arguments", [RICH, json.dumps(RICH), '{"n":  2}', "no JSON {"])
def test_a_template_that_joins_texts_gets_text(arguments: Any) -> None:
    found = called("deepseek", arguments)
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    assert (written(found), found.arguments) == ([text], "text")


@pytest.mark.parametrize("family", ["qwen25", "mistral", "llama3", "gptoss", "xml"])
@pytest.mark.parametrize("arguments", ['{"n": 2}', {"n": 2}, "{}"])
def test_a_template_that_writes_json_itself_gets_the_object(family: str, arguments: Any) -> None:
    found = called(family, arguments)
    assert found.arguments == "object"
    assert '\\"' not in found.text and '"{' not in found.text


def test_values_that_the_template_escapes_for_python() -> None:
    quoted = "'{{ v | replace('\\\\', '\\\\\\\\') | replace(\"'\", \"\\\\'\") }}'"
    found = called(
        calling("{{ f.name }}({% for k, v in f.arguments | items %}{{ k }}=" + quoted + "{% endfor %})"),
        {"port": r"it's \\now"},
    )
    assert written(found) == [r"port='it\'s \\\\now"]


def test_a_text_stays_as_it_was_recorded_where_the_template_takes_it() -> None:
    found = called("qwen3", '{"n":2,  "n": 3}')
    assert (written(found), found.arguments) == (['{"n":2,  "n": 3}'], "text")


def test_a_text_that_is_no_json_is_quoted_where_the_template_knows_no_better() -> None:
    found = called("qwen25", 'run "now"')
    assert (written(found), found.arguments) == ([r"run \"now\""], "text")


def test_a_template_that_writes_pythons_form_gets_text() -> None:
    template = calling("@{{ f.name }}({{ f.arguments }})")
    found = called(template, {"on": True, "port": "Bodø"})
    assert (written(found), found.arguments) == (['{"on": true, "port": "Bodø"}'], "text")


def test_forms_are_not_mixed_within_a_chat() -> None:
    assert called("qwen3", {"n": 1}, '{"n": 2}').arguments == "object"
    mixed = called("qwen3", {"n": 1}, "no JSON")
    assert (written(mixed), mixed.arguments) == (['{"n": 1}', "no JSON"], "text")


def test_tags_around_arguments_are_labelled_from_the_first_key_to_the_last_value() -> None:
    found = called("xml", {"port": " Bodø\n", "list": [1, True], "on": True})
    assert written(found) == [
        "port>\n Bodø\n\n</parameter>\n<parameter=list>\n[1, true]\n</parameter>\n<parameter=on>\ntrue"
    ]
    assert not found.dropped


@pytest.mark.parametrize("keys", ["ba", "zZaA", "bAcB"])
@pytest.mark.parametrize(
    "written_as",
    [
        "{% for k, v in f.arguments | dictsort %}{{ k }}={{ v }};{% endfor %}",
        "{{ f.arguments | tojson(sort_keys=true) }}",
    ],
)
def test_keys_that_the_template_sorts(keys: str, written_as: str) -> None:
    found = called(calling("@{{ f.name }}" + written_as), {key: f"value of {key}" for key in keys})
    (text,) = written(found)
    assert not found.dropped and all(f"value of {key}" in text for key in keys)


def test_empty_arguments_are_the_templates() -> None:
    found = called("qwen3", {})
    assert [text for _, label, text in pieces(found) if label == "tool_call"] == ["tide"]


def test_one_argument_that_is_left_out_is_missed() -> None:
    template = calling("{{ f.name }}{{ f.arguments.port }}")
    found = called(template, {"port": "Bodø", "n": 2})
    assert (found.dropped, found.first_dropped) == (
        ("tool_call",),
        "message 1 (assistant): its tool_calls[0]",
    )


def test_a_template_that_asks_for_an_argument_by_name() -> None:
    template = calling("{{ f.name }}{% if 'port' in f.arguments %} to {{ f.arguments.port }}{% endif %}")
    found = called(template, {"port": "Bodø"})
    assert (written(found), found.dropped) == (["Bodø"], ())


def test_a_call_beside_which_the_content_is_none_writes_no_none() -> None:
    template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    assert "None" not in rendered(template, user(), Message("assistant", calls=(Call("tide", {}),))).text


def test_arguments_nested_without_end() -> None:
    deep: Any = {}
    for _ in range(500):
        deep = {"a": deep}
    with pytest.raises(RenderError, match="nested deeper than 64"):
        called("qwen3", deep)
    assert called("qwen3", '{"a":' * 5000 + "1" + "}" * 5000).arguments == "text"
