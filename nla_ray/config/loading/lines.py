"""Where in a YAML file a key is written, and what such a file must not do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import yaml


def line_of(text: str, path: Sequence[str | int]) -> int | None:
    """Line (from 1) of the value at `path`, or of the deepest part of it that is there; None if none is."""
    node = yaml.compose(text, yaml.SafeLoader)
    line = None
    for part in path:
        found = _below(node, part)
        if found is None:
            break
        node, line = found
    return line


def _below(node: yaml.Node | None, part: str | int) -> tuple[yaml.Node, int] | None:
    """The node under a key or index, and the line on which it is written."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return value, key.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part].start_mark.line + 1
    return None


class OverlookedError(Exception):
    """What YAML allows and a reviewer would overlook, at a line (from 1)."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line, self.what = line, what


class _Strict(yaml.SafeLoader):
    """Refuses aliases while it parses."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            line = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]
            raise OverlookedError(line, "YAML aliases are not allowed here; write the value out")
        return super().compose_node(parent, index)


def strict(text: str) -> object:
    """As `document`, and refuses aliases."""
    return _read(_Strict(text))


def document(text: str) -> object:
    """The YAML document, parsed once; None where there is none.

    Raises OverlookedError for repeated keys and endless aliases, and as PyYAML.
    """
    return _read(yaml.SafeLoader(text))


def _read(loader: yaml.SafeLoader) -> object:
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        sizes: dict[int, int] = {}
        if _size(node, sizes) - len(sizes) > MOST_REPEATED:
            raise OverlookedError(node.start_mark.line + 1, ENDLESS)
        if repeated := _repeated(node, set()):
            raise OverlookedError(repeated[1], f"the key {repeated[0]!r} stands twice; remove one")
        return loader.construct_document(node)
    finally:
        loader.dispose()


MOST_REPEATED = 10_000
"""Values that aliases may stand for: nested ones make a short file endless."""
ENDLESS = f"its YAML aliases stand for more than {MOST_REPEATED} values; write the values out"


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """How many nodes there are with every alias written out; `known` gets that of each node."""
    if id(node) not in known:
        known[id(node)] = 2 * MOST_REPEATED  # of a node that holds itself
        known[id(node)] = 1 + sum(_size(below, known) for below in _inside(node))
    return known[id(node)]


def _inside(node: yaml.Node) -> Iterator[yaml.Node]:
    for one in node.value if isinstance(node, yaml.CollectionNode) else ():
        yield from one if isinstance(one, tuple) else (one,)


def _repeated(node: yaml.Node, seen: set[int]) -> tuple[str, int] | None:
    """A key that stands twice in one mapping, with its second line; YAML itself drops the first."""
    if id(node) in seen:
        return None
    seen.add(id(node))
    keys = set()
    for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
        if isinstance(key, yaml.ScalarNode) and key.value in keys:
            return key.value, key.start_mark.line + 1
        keys.add(key.value if isinstance(key, yaml.ScalarNode) else None)
    return next((found for below in _inside(node) if (found := _repeated(below, seen))), None)
