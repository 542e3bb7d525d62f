"""Facts beside a sidecar: from the table of known pairs and from options, held against what the file says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from nla_ray.config.pairs.facts import PairFacts
from nla_ray.config.pairs.known import KnownPair, known_pair
from nla_ray.errors import CheckpointError
from nla_ray.nla.sidecar.dialects.seen import ADAPTER_CONFIG, AR_META, SIDECAR_NAME

PAIR = "pair"
"""Where a sidecar of ours says what the released dialect has no words for."""

_SNAPSHOT = re.compile(r".*/models--(?P<name>[^/]+)/snapshots/(?P<commit>[0-9a-f]{40})(?:/(?P<folder>.+))?")
_MOST_LINKS = 4
_IN_PAIR = ("chat", "special_tokens", "template_options", "prefill", "tagged", "ar_blocks", "ar_norm")
_PLACES = {
    "av_template": ("prompt_templates", "av"),
    "ar_template": ("prompt_templates", "ar"),
    "marker": ("tokens", "injection_char"),
}
_MARKER_IDS = {
    "token_id": "injection_token_id",
    "left_id": "injection_left_neighbor_id",
    "right_id": "injection_right_neighbor_id",
}


def known_of(directory: Path) -> KnownPair | None:
    """The table's entry for a directory of the hub's download cache, or for links into one.

    Raises CheckpointError for a pair that the table refuses.
    """
    found = reference_of(directory)
    hit = None if found is None else known_pair(*found)
    if hit is None:
        return None
    if hit[0].refused is not None:
        raise CheckpointError(f"{found[0] if found else directory}: {hit[0].refused} (schemas/pairs.yaml)")
    return hit[0]


class Snapshot(NamedTuple):
    """OWNER/NAME[#SUBFOLDER] on the hub, and its commit."""

    name: str
    commit: str


def reference_of(directory: Path) -> Snapshot | None:
    """The snapshot that a directory is of, of the hub's download cache; None for any other.

    Of a directory of links (the view of an adapter) that of the checkpoint that they lead to.
    """
    links = (directory / name for name in (ADAPTER_CONFIG, AR_META, SIDECAR_NAME))
    for place in (directory, *(place for link in links for place in _led_through(link))):
        if (found := snapshot_of(place)) is not None:
            return found
    return None


def snapshot_of(path: Path) -> Snapshot | None:
    """What a path inside the hub's download cache is of, links not followed; None for any other path."""
    match = _SNAPSHOT.fullmatch(path.absolute().as_posix())
    if match is None:
        return None
    folder = f"#{match['folder']}" if match["folder"] else ""
    return Snapshot(match["name"].replace("--", "/", 1) + folder, match["commit"])


def _led_through(link: Path) -> Iterator[Path]:
    """The directories that a link leads through."""
    for _ in range(_MOST_LINKS):
        if not link.is_symlink():
            return
        link = link.parent / link.readlink()
        yield link.parent


def facts_of(known: KnownPair | None, option: PairFacts | None) -> PairFacts:
    """What an option says, and what the table knows of what it leaves open."""
    facts = option or PairFacts()
    if known is None:
        return facts
    table = known.facts.model_copy(
        update={
            name: value
            for name, value in (("layer", known.layer), ("marker", known.marker and known.marker.char))
            if value is not None and getattr(known.facts, name) is None
        }
    )
    return facts.over(table)


def told(meta: Mapping[str, Any], facts: PairFacts, known: KnownPair | None, path: Path) -> dict[str, Any]:
    """The mapping with these facts in it. Raises CheckpointError where it says otherwise itself."""
    full = dict(meta)
    own = own_facts(meta, path)
    for name in _IN_PAIR:
        _agree(path, f"{PAIR}.{name}", getattr(own, name), getattr(facts, name))
    kept = facts.over(own).said()
    if pair := {name: kept[name] for name in _IN_PAIR if name in kept}:
        full[PAIR] = pair
    for name, (group, key) in _PLACES.items():
        if (value := getattr(facts, name)) is not None:
            full[group] = _put(full.get(group), key, value, path, group)
    if known is not None and known.marker is not None:
        for name, key in _MARKER_IDS.items():
            if (number := getattr(known.marker, name)) is not None:
                full["tokens"] = _put(full.get("tokens"), key, number, path, "tokens")
    return full


def own_facts(meta: Mapping[str, Any], path: Path) -> PairFacts:
    """What the sidecar's own group `pair` says; not every key of it is ours."""
    group = meta.get(PAIR)
    if not isinstance(group, Mapping):
        return PairFacts()
    try:
        return PairFacts.model_validate({name: group[name] for name in _IN_PAIR if name in group})
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise CheckpointError(f"{path}: {PAIR}.{where}: {problem['msg']}") from None


def _put(group: Any, key: str, value: object, path: Path, name: str) -> dict[str, Any]:
    if group is not None and not isinstance(group, Mapping):
        raise CheckpointError(f"{path}: {name}: a mapping was expected")
    found = dict(group or {})
    _agree(path, f"{name}.{key}", found.get(key), value)
    return found | {key: value}


def _agree(path: Path, field: str, said: object, asked: object) -> None:
    if said is not None and asked is not None and said != asked:
        raise CheckpointError(
            f"{path}: {field}: it says {str(said)[:80]!r}, and {str(asked)[:80]!r} is what an option or the "
            "table of known pairs says; leave out the option, or ask the pair's publisher"
        )
