"""Explanations from the truth that documents of the demo world carry."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nla_ray.demo import world
from nla_ray.errors import InputError
from nla_ray.ids import digest
from nla_ray.providers.provider import Place, Provider, Said

TRUTH = "truth"
LAST_WORDS = 4


class DemoProvider(Provider):
    """True explanations of what the text up to a token has made plain; wording is drawn by seed and place."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

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
        document = world.Document("", None, "", **{name: truth[name] for name in _PLANTED}, marks=())
        last = place.tail or " ".join((place.text or "").split()[-LAST_WORDS:])
        rng = random.Random(digest("demo-explanation", self._seed, place.doc_id, place.position))
        return world.explanation(document, known(truth, place.position), last.strip(), rng)


_PLANTED = ("topic", "item", "mood", "safety", "theme")


def known(truth: Mapping[str, Any], position: int | None) -> dict[str, str]:
    """What has become plain at a position; all of it where the position is not known."""
    first: Mapping[str, int] = truth.get("evident") or truth.get("shown") or {}
    return {
        prop: truth[prop]
        for prop, start in first.items()
        if prop in _PLANTED and (position is None or start <= position)
    }
