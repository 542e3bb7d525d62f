"""Places to explain, and what a provider says of them."""

from __future__ import annotations

from typing import Any

from nla_ray.providers.provider import Place, Provider, Said


def place(position: int | None = 30, **meta: Any) -> Place:
    return Place("doc", position, "some text that we keep", " keep", (" that", " we", " keep"), meta)


def said(provider: Provider, *places: Place) -> list[Said]:
    found = dict(provider.explain(places, "unit"))
    return [found[at] for at in range(len(places))]
