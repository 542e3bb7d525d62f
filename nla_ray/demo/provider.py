"""Explanations from the truth that documents of the demo world carry."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nla_ray.demo import world
from nla_ray.demo.dataset import LAST_TOKENS
from nla_ray.errors import InputError
from nla_ray.evaluation.truth import TRUTH
from nla_ray.ids import digest
from nla_ray.providers.provider import Place, Provider, Said


class DemoProvider(Provider):
    """True explanations of what the text up to a token has made plain; wording is drawn by seed and place."""

    def __init__(self, seed: int, *, brief: bool = False) -> None:
        self._seed, self._brief = seed, brief

    def explain(self, places: Sequence[Place], unit: str) -> Iterator[tuple[int, Said]]:
        """See Provider. Raises InputError for rows that have no truth."""
        for index, place in enumerate(places):
            yield index, Said(self._explanation(place))

    def _explanation(self, place: Place) -> str:
        truth = place.meta.get(TRUTH)
        if not isinstance(truth, Mapping) or not {"topic", "item", "mood", "theme", "safety"} <= truth.keys():
            raise InputError(
                f"provider demo: document {place.doc_id} has no truth of the demo world in its column "
                f"{TRUTH!r}; take documents of the demo world, or another provider"
            )
        rng = random.Random(digest("demo-explanation", self._seed, place.doc_id, place.position))
        plain, quoted = known(truth, place.position), LAST_TOKENS
        if self._brief:
            plain, quoted = world.brief(plain, rng), rng.choice(world.lexicon()["brief"]["last"])
        document = world.Document("", None, "", **{name: truth[name] for name in _PLANTED}, marks=())
        # Without tokens, words: in this world most are one token.
        tail = place.tail or [f" {word}" for word in (place.text or "").split()]
        return world.explanation(document, plain, "".join(tail[-quoted:]).strip(), rng)


_PLANTED = ("topic", "item", "mood", "safety", "theme")


def known(truth: Mapping[str, Any], position: int | None) -> dict[str, str]:
    """What has become plain at a position, and in which statement it is; all of it where it is not known."""
    first: Mapping[str, int] = truth.get("evident") or truth.get("shown") or {}
    plain = {
        prop: truth[prop]
        for prop, start in first.items()
        if prop in _PLANTED and (position is None or start <= position)
    }
    begun = 0 if position is None else sum(start <= position for start in truth.get("statements") or ())
    return plain | ({"place": world.ordinal(begun)} if begun else {})
