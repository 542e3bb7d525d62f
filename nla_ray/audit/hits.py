"""Hits: explanations that a detector matches, with what they say, beside the rows that were searched."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from nla_ray.config.packs import Packs


def find_hits(
    connection: duckdb.DuckDBPyConnection, packs: Packs, run_ids: Sequence[str] | None = None
) -> None:
    """Create the table `population` and the table `hits` on a connection of `nla_ray.store.connect`.

    `run_ids`: the runs of explanations to search; None: all.
    """
    raise NotImplementedError
