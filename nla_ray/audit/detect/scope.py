"""Which rows a detector is about, as SQL."""

from __future__ import annotations

from nla_ray.audit.detect.patterns import literal
from nla_ray.config.detectors.model import Scope
from nla_ray.text import SPECIAL_TOKEN


def scope_sql(scope: Scope) -> str:
    """SQL over columns of `population` that says whether a row is in a scope; an unknown role is in none."""
    parts = []
    if scope.roles:
        parts.append(f"coalesce(role IN ({', '.join(map(literal, scope.roles))}), false)")
    if scope.tokens:
        parts.append(f"coalesce(({TOKEN_CLASS}) IN ({', '.join(map(literal, scope.tokens))}), false)")
    else:
        parts.append(f"NOT ({_OF_TEMPLATE})")
    if scope.without_flags:
        parts.append(f"NOT list_has_any(flags, [{', '.join(map(literal, scope.without_flags))}])")
    return " AND ".join(parts)


# Imported rows may have no flag.
_IS_SPECIAL = (
    "list_contains(flags, 'special_token') "
    f"OR coalesce(regexp_matches(token, {literal(SPECIAL_TOKEN.pattern)}), false)"
)
_OF_TEMPLATE = f"coalesce(list_contains(flags, 'template_token') OR {_IS_SPECIAL}, false)"
TOKEN_CLASS = rf"""CASE
    WHEN {_IS_SPECIAL} THEN 'special'
    WHEN list_contains(flags, 'template_token') THEN 'template'
    WHEN regexp_matches(token, '\pL') THEN 'word'
    WHEN regexp_matches(token, '\pN') THEN 'number'
    WHEN regexp_matches(token, '^\s*$') THEN 'space'
    WHEN token IS NOT NULL THEN 'punctuation'
END"""
