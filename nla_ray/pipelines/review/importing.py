"""Verdicts from a file into the table of reviews."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nla_ray.audit.review.draw import Item
from nla_ray.audit.review.labels import Label
from nla_ray.errors import InputError
from nla_ray.pipelines.review.sample import Review
from nla_ray.pipelines.review.sittings import Sitting


def keep_labels(review: Review, items: Mapping[str, Item], labels: Sequence[Label], name: str) -> int:
    """Keep the verdicts of a file called `name` on some of `items`; how many were new.

    Raises InputError where a reviewer said something else before, and keeps nothing then.
    """
    people = sorted({one.reviewer.casefold(): one.reviewer for one in labels}.values())
    sittings = {one.casefold(): Sitting(review.store, review.review_id, one, items) for one in people}
    new: list[tuple[Sitting, Label]] = []
    for label in labels:
        sitting = sittings[label.reviewer.casefold()]
        before = sitting.said.get(label.hit)
        if before is not None and before["verdict"] != label.verdict:
            raise InputError(
                f"{name}: {label.reviewer[:40]!r} says {label.verdict} of hit {label.hit} and said "
                f"{before['verdict']} before; nothing was kept: correct the file, or change the verdict in "
                "`nla-ray review`"
            )
        if before is None:
            new.append((sitting, label))
    for sitting, label in new:
        sitting.say(label)
    for sitting in sittings.values():
        sitting.close()
    return len(new)
