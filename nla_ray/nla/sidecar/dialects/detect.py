"""Which dialect a checkpoint directory is written in: one function from what lies there to a reader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nla_ray.nla.sidecar.dialects import depths, easynla, others
from nla_ray.nla.sidecar.dialects.seen import Seen

Translate = Callable[[Seen], dict[str, Any]]


@dataclass(frozen=True)
class Dialect:
    """A way to write a pair down; `translate` says it in the released dialect's names.

    `neighbours`: whether its sidecars record the tokens beside the marker.
    """

    name: str
    translate: Translate
    neighbours: bool = True


def _as_it_is(seen: Seen) -> dict[str, Any]:
    return dict(seen.meta or {})


RELEASED = Dialect("released", _as_it_is)
EASYNLA = Dialect("EasyNLA", easynla.translate)
KINDLESS = Dialect("nla-train", others.kindless)
TEMPLATELESS = Dialect("without templates", others.templateless)
AT_HOME = Dialect("nla-at-home", depths.translate, neighbours=False)
BARE = Dialect("without sidecar", others.bare, neighbours=False)


def dialect_of(seen: Seen) -> Dialect:
    """The dialect of a directory. Raises CheckpointError for what is no NLA of single tokens."""
    if seen.meta is None:
        return BARE
    _refuse_other_readers(seen)
    kind = seen.said("kind")
    if kind == "nla_dataset":
        return EASYNLA
    if kind is None and seen.said("role") is not None and seen.said("schema_version") == 2:
        return KINDLESS
    if seen.said("variant") == "universal" or depths.is_ours(seen):
        return AT_HOME
    if kind == "nla_model" and not seen.said("prompt_templates"):
        return TEMPLATELESS
    return RELEASED


def _refuse_other_readers(seen: Seen) -> None:
    """Refuse by name what reads something else than the raw activation of one token."""
    if seen.said("d_shared") is not None:
        raise seen.refuse(
            "d_shared", "it reads the mean of a passage's vectors through a map of its own; not a token NLA"
        )
    variant = seen.said("variant")
    if variant not in (None, "universal"):
        raise seen.refuse(
            "variant", f"found {str(variant)[:60]!r}; not known, and an unknown variant reads wrongly"
        )
    if variant == "universal" and seen.said("depth_percentages") is None:
        raise seen.refuse(
            "variant", "'universal' without depth_percentages is not known; it may read pooled vectors"
        )
