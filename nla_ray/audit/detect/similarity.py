"""Nearness to example sentences in an embedding that the caller brings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nla_ray.config.detectors.model import Similarity

ROWS_AT_ONCE = 2048
_SENTENCE = re.compile(r"[^.!?\n]+[.!?]*")


def near_sentences(
    connection: duckdb.DuckDBPyConnection,
    similarity: Similarity,
    embed: Callable[[Sequence[str]], npt.NDArray[np.float32]],
) -> pa.Table:
    """Rows of `population` with a sentence near an example: run_id, row_id, sample, and it as span.

    Every explanation is embedded: this is for small populations, or a fast embedding.
    """
    examples = _unit(embed(list(similarity.sentences)))
    (rows,) = connection.execute("SELECT count(*) FROM population").fetchall()[0]
    found: list[tuple[str, str, int, str]] = []
    reader = connection.execute(
        "SELECT run_id, row_id, sample, explanation FROM population WHERE explanation IS NOT NULL"
    )
    while batch := reader.fetchmany(ROWS_AT_ONCE):
        found += _near(batch, similarity.minimum_cosine, examples, embed)
    columns = [list(column) for column in zip(*found, strict=True)] or [[], [], [], []]
    kinds = [("run_id", pa.string()), ("row_id", pa.string()), ("sample", pa.int64()), ("span", pa.string())]
    return pa.table(columns, schema=pa.schema(kinds)) if rows else pa.schema(kinds).empty_table()


def _near(
    batch: Sequence[tuple[str, str, int, str]],
    least: float,
    examples: npt.NDArray[np.float32],
    embed: Callable[[Sequence[str]], npt.NDArray[np.float32]],
) -> Iterator[tuple[str, str, int, str]]:
    """Of each row the sentence that is nearest to an example, if it is near enough."""
    sentences = [
        (index, part.group().strip())
        for index, row in enumerate(batch)
        for part in _SENTENCE.finditer(row[3])
    ]
    sentences = [(index, text) for index, text in sentences if text]
    if not sentences:
        return
    nearness = (_unit(embed([text for _, text in sentences])) @ examples.T).max(axis=1)
    best: dict[int, int] = {}
    for at, (index, _) in enumerate(sentences):
        if nearness[at] >= least and (index not in best or nearness[at] > nearness[best[index]]):
            best[index] = at
    for index, at in best.items():
        yield (*batch[index][:3], sentences[at][1])


def _unit(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Vectors [N, D] at norm 1."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-12), dtype=np.float32)
