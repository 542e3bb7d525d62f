"""The tree of a session's lines: each leaf's way from its root is a branch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from nla_ray.corpus.transcripts.claude.lines import Line

Above = Mapping[str, str | None]
"""For each line the next one above it that says something."""


@dataclass(frozen=True)
class Branch:
    """What was said on one way through the tree, in order, and what stood beside it.

    `missing` is the line that the first one hangs on, where the file lacks it; a `circle` has no first.
    """

    said: tuple[Line, ...]
    asides: tuple[Line, ...] = ()
    missing: str | None = None
    circle: bool = False


def branches(lines: Mapping[str, Line]) -> Iterator[Branch]:
    """The branches, that of the last leaf first; every line that says something is in at least one."""
    above = _above(lines)
    said = [line for line in lines.values() if line.message is not None]
    inner = {above[line.uuid] for line in said}
    taken = set[str]()
    for leaf in reversed(said):
        if leaf.uuid not in inner and leaf.uuid not in taken:
            branch = _branch(leaf, lines, above, said)
            taken.update(line.uuid for line in branch.said)
            yield branch
    if circle := tuple(line for line in said if line.uuid not in taken):
        yield Branch(circle, circle=True)


def _parent(line: Line, lines: Mapping[str, Line]) -> Line | None:
    found = None if line.parent is None else lines.get(line.parent)
    return found if found is not None and line.hangs_on(found) else None


def _above(lines: Mapping[str, Line]) -> Above:
    above = dict[str, str | None]()
    for line in lines.values():
        trail = []
        at: Line | None = line
        while at is not None and at.uuid not in above:
            above[at.uuid] = None
            trail.append(at)
            at = _parent(at, lines)
        for one in reversed(trail):
            parent = _parent(one, lines)
            if parent is not None:
                above[one.uuid] = parent.uuid if parent.message is not None else above[parent.uuid]
    return above


def _branch(leaf: Line, lines: Mapping[str, Line], above: Above, said: list[Line]) -> Branch:
    way = dict[str, Line]()
    at: Line | None = leaf
    while at is not None and at.uuid not in way:
        way[at.uuid] = at
        at = _parent(at, lines)
    path = list(reversed(way.values()))
    root = path[0]
    lacks = root.parent is not None and root.parent not in lines and not root.clears
    return Branch(
        _with_fragments([line for line in path if line.message is not None], above, said),
        tuple(line for line in path if line.message is None),
        missing=root.parent if lacks else None,
        circle=at is not None,
    )


def _with_fragments(path: list[Line], above: Above, said: list[Line]) -> tuple[Line, ...]:
    """The path with the dead ends that the model saw: other lines of its replies, and results of its calls.

    Calls made at once lie on lines of their own, and each result hangs on its call's line.
    """
    place = {line.uuid: (index, 0) for index, line in enumerate(path)}
    chosen = list(path)
    replies = {line.reply for line in path} - {None}
    open_calls = {call for line in path for call in line.blocks("tool_use", "id")}
    open_calls -= {call for line in path for call in line.blocks("tool_result", "tool_use_id")}
    for line in said:
        over = above[line.uuid]
        if line.uuid in place or over is None or over not in place:
            continue
        results = line.blocks("tool_result", "tool_use_id")
        if line.reply in replies or (results and results <= open_calls):
            place[line.uuid] = (place[over][0], line.number)
            chosen.append(line)
            open_calls = (open_calls | line.blocks("tool_use", "id")) - results
    return tuple(sorted(chosen, key=lambda line: place[line.uuid]))
