"""A folder per table that `datasets.load_from_disk` reads: Arrow streams and the list of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

import pyarrow as pa

from nla_ray.exports.place import Made
from nla_ray.exports.selection import BATCH_ROWS, Selection
from nla_ray.ids import digest
from nla_ray.store.parts import groups, parts
from nla_ray.tables import SCHEMAS


def dataset_files(selection: Selection) -> Iterator[Made]:
    """The tables of the request; `state.json`, without which a folder is no data set, comes last."""
    for name in selection.request.tables:
        schema, names = SCHEMAS[name], []
        begin = partial(pa.ipc.new_stream, schema=schema)
        for number, (data, rows) in enumerate(parts(groups(selection.table(name), BATCH_ROWS), begin)):
            names.append(f"data-{number:05}.arrow")
            yield Made(f"{name}/{names[-1]}", data, name, rows)
        comment = schema.metadata[b"comment"].decode()
        yield _json(f"{name}/dataset_info.json", {"description": comment})
        yield _json(f"{name}/state.json", _state(names, digest(name, selection.request.to_json())[:16]))


def _state(names: list[str], fingerprint: str) -> dict[str, object]:
    return {
        "_data_files": [{"filename": name} for name in names],
        "_fingerprint": fingerprint,
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }


def _json(key: str, value: object) -> Made:
    return Made(key, json.dumps(value, indent=2).encode())
