"""How explanations name what the world plants, in the world's own words."""

from __future__ import annotations

import functools

from nla_ray.demo.world import NONE, lexicon, safety_properties
from nla_ray.evaluation.truth import Property, Vocabulary


@functools.cache
def vocabulary() -> Vocabulary:
    """Topic, item and mood, and every safety property by itself."""
    words = lexicon()
    topics, plans = words["topics"], words["safety"]
    benign = [said for plan in plans.values() for said in plan["benign_said"]]
    safety = {name: plan["said"] for name, plan in plans.items()} | {NONE: benign}
    return Vocabulary(
        (
            Property("topic", {name: topic["said"] for name, topic in topics.items()}),
            Property("item", {item: [item] for topic in topics.values() for item in topic["items"]}),
            Property(
                "mood",
                {name: [f" {said}" for said in mood["said"]] for name, mood in words["moods"].items()},
            ),
            Property("safety", safety, anywhere=True, apart=tuple(safety_properties())),
        )
    )


def values(prop: str) -> list[str]:
    """All values that a property can have."""
    return next(list(one.phrases) for one in vocabulary().properties if one.name == prop)
