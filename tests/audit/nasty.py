"""Texts that would do harm wherever they took effect, and reports that hold them in every place."""

from __future__ import annotations

from typing import Any

from nla_ray.audit.report import Report
from tests.audit.reports import comparison, example

NASTY = (
    "<script>window.pwned=1;alert(1)</script>",
    "</script></style></title></textarea><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' autofocus onfocus='alert(1)",
    "<svg/onload=alert(1)><animate onbegin=alert(1)>",
    '<iframe src="https://example.org"></iframe><object data=x></object><base href="//example.org">',
    "<style>*{display:none}</style><link rel=stylesheet href=https://example.org/x.css>",
    '<meta http-equiv="refresh" content="0;url=https://example.org"><form action=x><input></form>',
    "<a id=gates name=rates href=javascript:alert(1)>x</a>",
    "--><b>x</b><!-- <![CDATA[ ]]>",
    "&lt;b&gt; &amp;amp; &#60;i&#62; &nbsp;",
    "{{ 7*7 }} {% include 'x' %} ${7*7} #{7*7} {0} {x}",
    "[x](javascript:alert(1)) ![x](https://example.org/x.png) [y]: https://example.org \\[z\\]",
    "<https://example.org> https://example.org www.example.org a@b.example @octocat #1 GH-2",
    "`code` ``` ~~~\n```\n# heading\n- item\n1. item\n> quote\n---\n\n    indented",
    "- item | a | b |\n|---|---|\n\\| c \\|",
    "*x* **x** _x_ __x__ ~~x~~ $x$ $`x`$ :smile: [^1] <br> \\",
    '=HYPERLINK("https://example.org","x")',
    "=cmd|' /C calc'!A0",
    "+1+cmd|x",
    "@SUM(1+1)",
    "\t=1+1",
    "\x1b[31mred\x1b[0m\x1b]0;title\x07\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\\x9b31m",
    "\u202egnp.exe\u202c \u2066x\u2069 \u200f",
    "a\u200bb\ufeffc\u00add\u2028e\u2029f\U000e0041",
    "\x00\x08\x7f\r\nX: y\r",
    "e" + "\u0301" * 60,
    "\u05e9\u05dc\u05d5\u05dd abc \u05e2\u05d5\u05dc\u05dd",
    "x" * 3000,
    " = x ",
    "`",
)
_KEPT = frozenset(
    {"verdict", "relation", "unit", "role", "level", "tier", "state", "status", "population", "name"}
)


def everywhere(text: str) -> Report:
    """A report in which every free text is this one."""
    values = example(3, comparison=comparison()).model_dump(mode="json")
    values["config"] = values["runs"][0]["config"] = text
    values["policy"] = {"fail_on": text, "failed": True, "why": text}
    for one in values["findings"]:
        one["suppression"] = {"owner": text, "reason": text, "expires": text}
    values["runs"][0] |= {"versions": {text: text}, "counts": {text: 1}}
    values["denylist"][0]["rows"] = {text: 1}
    return Report.model_validate(_replaced(values, text))


def in_findings(text: str) -> Report:
    """A report in which every text of tables is this one: documents, tokens, explanations."""
    values = example(3).model_dump(mode="json")
    for one in values["findings"]:
        one |= {"doc_id": text, "source": text}
        one["evidence"] = [
            row | {"token": text, "role": text, "span": text, "explanation": f"a {text} b"}
            for row in one["evidence"]
        ]
        for context in one["contexts"]:
            context["segments"] = [segment | {"text": text} for segment in context["segments"]]
    return Report.model_validate(values)


def _replaced(value: Any, text: str) -> Any:
    if isinstance(value, dict):
        return {key: one if key in _KEPT else _replaced(one, text) for key, one in value.items()}
    if isinstance(value, list):
        return [_replaced(one, text) for one in value]
    return text if isinstance(value, str) else value
