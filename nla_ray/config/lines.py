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


def repeated_key(text: str) -> tuple[str, int] | None:
    """A key that stands twice in one mapping, with its second line; YAML itself drops the first."""
    return _repeated(yaml.compose(text, yaml.SafeLoader))


def _repeated(node: yaml.Node | None) -> tuple[str, int] | None:
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


def alias(text: str) -> int | None:
    """Line of the first YAML alias: nested ones make a short file endless."""
    tokens = yaml.scan(text, yaml.SafeLoader)
    return next((token.start_mark.line + 1 for token in tokens if isinstance(token, yaml.AliasToken)), None)
