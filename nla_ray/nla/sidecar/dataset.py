"""Reading and writing the sidecars of activation files: `{file}.parquet.nla_meta.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from nla_ray.nla.sidecar.fields import Fields, load_mapping


@dataclass(frozen=True)
class DatasetSidecar:
    """Where the vectors of one activation file come from: the output of block `layer` of `base_model`.

    `row_count` is what was recorded, stale in some published files: see `stale_rows`.
    """

    stage: str
    base_model: str
    d_model: int
    layer: int
    row_count: int | None
    extra: Mapping[str, Any]
    path: Path

    def stale_rows(self, rows: int) -> str | None:
        """One line of warning where the file holds another number of rows than was recorded."""
        if self.row_count in (None, rows):
            return None
        return (
            f"{self.path}: row_count says {self.row_count}, the file holds {rows} rows; the file is believed"
        )


def read_dataset_sidecar(parquet_path: Path) -> DatasetSidecar:
    """The sidecar beside a Parquet file. Raises CheckpointError: missing, malformed, transformed vectors."""
    path = Path(f"{parquet_path}.nla_meta.yaml")
    fields = Fields(path, load_mapping(path))
    if fields.get("kind") != "nla_dataset":
        raise fields.refuse("kind", "'nla_dataset' was expected beside a Parquet file of activations")
    if fields.get("extraction.norm") not in (None, "none"):
        raise fields.refuse("extraction.norm", "only 'none' is supported: raw activations")
    return DatasetSidecar(
        stage=fields.text("stage"),
        base_model=fields.text("extraction.base_model"),
        d_model=fields.integer("extraction.d_model", 1),
        layer=fields.integer("extraction.layer_index", 0),
        row_count=None if fields.get("row_count") is None else fields.integer("row_count", 0),
        extra=fields.meta,
        path=path,
    )


def dataset_sidecar_text(
    *, stage: str, rows: int, base_model: str, d_model: int, layer: int, extraction: Mapping[str, Any],
    extra: Mapping[str, Any],
) -> str:  # fmt: skip
    """The sidecar of a file of raw activations; `extraction` and `extra` add to the keys of the contract."""
    meta: dict[str, Any] = {
        "kind": "nla_dataset",
        "schema_version": 1,
        "stage": stage,
        "row_count": rows,
        "extraction": {
            "base_model": base_model, "d_model": d_model, "layer_index": layer, "norm": "none", **extraction,
        },
    }  # fmt: skip
    return yaml.safe_dump(meta | dict(extra), sort_keys=False, allow_unicode=True)
