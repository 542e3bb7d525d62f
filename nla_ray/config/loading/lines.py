"""Where in a YAML file a key is written, and what such a file must not do."""

from __future__ import annotations

from collections.abc import Sequence

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
    """Refuses aliases while it parses: nested ones make a short file endless."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            line = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]
            raise OverlookedError(line, "YAML aliases are not allowed here; write the value out")
        return super().compose_node(parent, index)


def strict(text: str) -> object:
    """The YAML document, parsed once. Raises OverlookedError for aliases and repeated keys, and as PyYAML."""
    loader = _Strict(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if repeated := _repeated(node):
            raise OverlookedError(repeated[1], f"{repeated[0]}: this key stands twice; remove one")
        return loader.construct_document(node)
    finally:
        loader.dispose()


def repeated_key(text: str) -> tuple[str, int] | None:
    """A key that stands twice in one mapping of a YAML document, with its second line."""
    return _repeated(yaml.compose(text, yaml.SafeLoader))


def _repeated(node: yaml.Node | None) -> tuple[str, int] | None:
    """A key that stands twice in one mapping, with its second line; YAML itself drops the first."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if key.value in seen:
                return key.value, key.start_mark.line + 1
            seen.add(key.value)
            if found := _repeated(value):
                return found
    if isinstance(node, yaml.SequenceNode):
        return next((found for item in node.value if (found := _repeated(item))), None)
    return None
