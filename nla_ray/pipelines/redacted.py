"""Imported results without what is to be hidden in their texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa

from nla_ray.config.reading.redaction import Redact
from nla_ray.corpus.redaction.find import Finder, RedactionError
from nla_ray.corpus.redaction.hide import hide
from nla_ray.corpus.redaction.keep import UNSAID, Keeper
from nla_ray.imports.pieces import Made
from nla_ray.tables import table_of

Row = Mapping[str, Any]


def redacted(made: Made, config: Redact) -> Made:
    """The tables with their texts hidden as a decode does it, and the tally of what is left.

    Which characters of a text a token is, other tools do not say: no token is stored. Raises ConfigError.
    """
    keeper, finder = Keeper("full", 0, config), Finder(config)
    table = table_of((_row(row, keeper) for row in made.table.to_pylist()), made.table.schema)
    sides = dict(made.sides)
    if documents := sides.get("documents"):
        sides["documents"] = _documents(documents, finder, config.replacement)
    problems = Counter[str]()
    for problem, count in made.tally["problems"].items():
        problems[keeper.reason(problem)] += count
    tally = {"outcomes": dict(Counter(table["outcome"].to_pylist())), "problems": dict(problems)}
    return replace(made, table=table, sides=sides, tally={**made.tally, **tally})


def _row(row: Row, keeper: Keeper) -> Row:
    bare = {**row, "token": None, "token_id": None, "meta": None}
    try:
        return keeper.row(bare | {"meta": keeper.meta(row["meta"])})
    except RedactionError as error:
        return bare | UNSAID | {"reason": str(error)}


def _documents(table: pa.Table, finder: Finder, replacement: str) -> pa.Table:
    return table_of((_document(row, finder, replacement) for row in table.to_pylist()), table.schema)


def _document(row: Row, finder: Finder, replacement: str) -> Row:
    if row["text"] is None:
        return row
    try:
        text, ends = hide(row["text"], finder.spans(row["text"]), replacement, row["token_ends"] or ())
    except RedactionError:
        return {**row, "text": None, "token_ends": None}
    return {**row, "text": text, "token_ends": list(ends)}
