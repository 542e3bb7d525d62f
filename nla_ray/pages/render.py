"""Self-contained HTML pages: no network, no script, nothing from a table takes effect."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, PrefixLoader, StrictUndefined

from nla_ray.pages import words

STYLE = "pages/style.css"


def environment(package: str, **filters: Callable[..., Any]) -> Environment:
    """Templates of a package; those that all pages share are under `pages/`.

    Every value is escaped, and made visible before that.
    """
    shared = PrefixLoader({"pages": PackageLoader("nla_ray.pages")})
    made = Environment(
        loader=ChoiceLoader([PackageLoader(package), shared]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "percent": words.percent,
        "points": words.points,
        "number": words.number,
        "probability": words.probability,
        "count": words.count,
        "part": words.part,
        "sentence": words.sentence,
        "cut": partial(words.clipped, most=words.QUOTE),
    } | filters
    return made


def page(templates: Environment, style: str = STYLE, **shown: object) -> str:
    """The template `page.html`, which extends `pages/base.html`; no other style than this takes effect."""
    css = templates.get_template(style).render()
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    made = templates.get_template("page.html").render(style=style, style_hash=digest, **shown)
    return made + "\n"


def _visible(value: object) -> object:
    """Text with its invisible characters written out; numbers and the templates' own markup stay."""
    return words.shown(value) if isinstance(value, str) and not hasattr(value, "__html__") else value
