"""Conditions of detectors: group names with `and`, `or`, `not` and parentheses."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

LONGEST = 1000
_OPERATORS: dict[type[ast.boolop], Literal["and", "or"]] = {ast.And: "and", ast.Or: "or"}


@dataclass(frozen=True)
class Term:
    """A parsed condition: a group's name, or terms under an operator."""

    operator: Literal["name", "and", "or", "not"]
    name: str = ""
    terms: Sequence[Term] = ()

    def write(self, group: Callable[[str], str]) -> str:
        """The condition with each name replaced, in the syntax of SQL."""
        if self.operator == "name":
            return group(self.name)
        parts = [term.write(group) for term in self.terms]
        return f"(NOT {parts[0]})" if self.operator == "not" else f"({f' {self.operator} '.join(parts)})"

    def holds(self, true: Callable[[str], bool]) -> bool:
        """Whether the condition holds."""
        if self.operator == "name":
            return true(self.name)
        found = [term.holds(true) for term in self.terms]
        return {"and": all(found), "or": any(found), "not": not found[0]}[self.operator]

    def names(self) -> set[str]:
        """All groups in the condition."""
        return {self.name} if self.operator == "name" else {n for term in self.terms for n in term.names()}

    def asserted(self) -> set[str]:
        """Groups that speak for the condition: those that are not under an odd number of `not`."""
        return self._asserted(True)

    def _asserted(self, positive: bool) -> set[str]:
        if self.operator == "name":
            return {self.name} if positive else set()
        below = positive != (self.operator == "not")
        return {name for term in self.terms for name in term._asserted(below)}

    @property
    def disjunction(self) -> bool:
        """Whether any of its names is enough."""
        return self.operator == "name" or (
            self.operator == "or" and all(one.disjunction for one in self.terms)
        )

    def holds_for_nothing(self) -> bool:
        """Whether a text without any match satisfies it."""
        return self.holds(lambda name: False)


def parse(condition: str) -> Term:
    """The condition as a term. Raises ValueError for anything but names, and, or, not and parentheses."""
    try:
        tree = ast.parse(condition.strip()[: LONGEST + 1], mode="eval")
        if len(condition) <= LONGEST:
            return _term(tree.body)
    except (SyntaxError, RecursionError, MemoryError):
        pass
    raise ValueError(f"condition {condition[:60]!r}: write group names with and, or, not and parentheses")


def _term(node: ast.expr) -> Term:
    if isinstance(node, ast.Name):
        return Term("name", name=node.id)
    if isinstance(node, ast.BoolOp):
        return Term(_OPERATORS[type(node.op)], terms=[_term(value) for value in node.values])
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return Term("not", terms=[_term(node.operand)])
    raise SyntaxError
