"""The published tables of a training set, made of its activations and explanations unit by unit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from nla_ray import __version__
from nla_ray.config.training.training_set import AR_SLOT, AV_SLOT, SPLITS
from nla_ray.errors import InputError
from nla_ray.nla.outcomes import CLOSE, OPEN
from nla_ray.nla.reconstruction.fidelity import Directions
from nla_ray.nla.sidecar.dataset import dataset_sidecar_text
from nla_ray.pipelines.training_set.planning import BASE, EXPLAINED, Ready
from nla_ray.stages.training_set.explain import read_splits, read_unit_table
from nla_ray.store.places.objects import Store
from nla_ray.store.runs.training_set import SetFile, SplitRecord
from nla_ray.store.runs.unit_file import read_footer, to_bytes, unit_facts
from nla_ray.tables.training import PROMPT, published

INJECT = "<INJECT>"
PART_BYTES = 128 << 20
"""A part is written once it has so much in memory; which rows are in which part does not depend on chance."""
EXPLAINED_SPLITS = ("av_sft", "ar_sft", "held_out")


class Tables:
    """The parts of every split, as rows come; and what is known of the vectors that are trained on."""

    def __init__(self, ready: Ready, work: Store, out: Store) -> None:
        self._ready, self._work = ready, work
        self._splits = read_splits(work)
        self._extra = frozenset(ready.config.corpus.meta) - frozenset(ready.kept_meta)
        self.parts = {name: Parts(ready, name, out) for name in SPLITS if getattr(ready.config.shares, name)}
        self.directions = Directions(ready.d_model)
        self._norms: list[np.ndarray] = []

    def add(self, unit_id: str) -> int:
        """The rows of one unit, to their splits; how many it has."""
        table = read_unit_table(self._work, self._ready.ref(BASE), unit_id)
        texts = self._texts(unit_id, table.num_rows)
        splits = [self._splits[doc_id] for doc_id in table["doc_id"].to_pylist()]
        for name, parts in self.parts.items():
            needed = name in ("av_sft", "ar_sft")
            rows = [
                at for at, split in enumerate(splits) if split == name and not (needed and texts[at] is None)
            ]
            if rows:
                self._add(parts, table.take(rows), [texts[at] for at in rows])
        return int(table.num_rows)

    def _texts(self, unit_id: str, rows: int) -> list[str | None]:
        """The explanation of each row of a unit, None where there is none."""
        texts: list[str | None] = [None] * rows
        if self._ready.config.provider is not None:
            said = read_unit_table(self._work, self._ready.ref(EXPLAINED), unit_id)
            for row, text in zip(said["row"].to_pylist(), said["api_explanation"].to_pylist(), strict=True):
                texts[row] = text
        return texts

    def _add(self, parts: Parts, table: pa.Table, texts: Sequence[str | None]) -> None:
        if parts.split != "held_out":
            vectors = table["activation_vector"].combine_chunks().flatten().to_numpy()
            vectors = vectors.reshape(-1, self._ready.d_model)
            self.directions.add(vectors)
            self._norms.append(np.linalg.norm(vectors.astype(np.float64), axis=1))
        parts.add(table, texts, [self._meta(meta) for meta in table["meta"].to_pylist()])

    def _meta(self, meta: str | None) -> str | None:
        """The columns that the user asked for, without those that only the provider needed."""
        if meta is None or not self._extra:
            return meta
        kept = {name: value for name, value in json.loads(meta).items() if name not in self._extra}
        return json.dumps(kept, ensure_ascii=False) if kept else None

    def norm_p75(self) -> float:
        """The norm that three quarters of the vectors that are trained on do not exceed."""
        return round(float(np.quantile(np.concatenate(self._norms), 0.75)), 3) if self._norms else 0.0


class Parts:
    """The files of one split."""

    def __init__(self, ready: Ready, split: str, out: Store) -> None:
        self.split = split
        self._ready, self._out = ready, out
        self._schema = published(split, ready.d_model)
        self._held: list[pa.Table] = []
        self._documents: set[str] = set()
        self._files: list[SetFile] = []

    def add(self, table: pa.Table, texts: Sequence[str | None], meta: Sequence[str | None]) -> None:
        """Rows of a base table with their explanations."""
        made = self._made(table, texts, meta)
        self._documents.update(made["doc_id"].to_pylist())
        self._held.append(made)
        if sum(one.nbytes for one in self._held) >= PART_BYTES:
            self._write()

    def finish(self) -> SplitRecord:
        """Write what is left. Raises InputError where the split has no row."""
        if self._held:
            self._write()
        if not self._files:
            raise InputError(f"{self.split}: the split is empty: not one of its rows has an explanation")
        rows = sum(file.rows for file in self._files)
        return SplitRecord(documents=len(self._documents), rows=rows, files=tuple(self._files))

    def _made(self, table: pa.Table, texts: Sequence[str | None], meta: Sequence[str | None]) -> pa.Table:
        templates, n = self._ready.config.templates, len(texts)
        message = [{"role": "user", "content": templates.av.replace(AV_SLOT, INJECT)}]
        columns: dict[str, Any] = {name: table[name] for name in table.schema.names}
        columns["meta"] = pa.array(meta, pa.string())
        columns["api_explanation"] = pa.array(texts, pa.string())
        columns["response"] = pa.array([text and f"{OPEN}\n{text}\n{CLOSE}" for text in texts], pa.string())
        columns["prompt"] = pa.array([message] * n, PROMPT)
        if self.split == "ar_sft":
            columns["prompt"] = pa.array([templates.ar.replace(AR_SLOT, text or "") for text in texts])
        return pa.table({name: columns[name] for name in self._schema.names}, schema=self._schema)

    def _write(self) -> None:
        """One part and its sidecar. Raises InputError where a part of another set is in its place."""
        table = pa.concat_tables(self._held).combine_chunks()
        self._held = []
        number, ref = len(self._files), self._ready.ref(BASE)
        key = f"{self.split}/part-{number:05d}.parquet"
        data = to_bytes(table, unit_facts(ref.plan_sha256, ref.run_id, f"{self.split}-{number:05d}"))
        size, sha256 = len(data), hashlib.sha256(data).hexdigest()
        if not self._out.put_new(key, data):
            if read_footer(self._out, key).plan_sha256 != ref.plan_sha256:
                raise InputError(f"{self._out.url}/{key}: is of another training set; move it elsewhere")
            size, sha256 = self._out.identify(key)
        self._out.put_new(f"{key}.nla_meta.yaml", self._sidecar(table.num_rows).encode())
        self._files.append(SetFile(key=key, sha256=sha256, bytes=size, rows=table.num_rows))

    def _sidecar(self, rows: int) -> str:
        ready, config = self._ready, self._ready.config
        extraction: Mapping[str, Any] = {
            "corpus": ", ".join(config.corpus.paths),
            "corpus_slice": {"start": 0, "length": ready.survey.documents},
            "positions_per_doc": None if config.corpus.vectors is not None else config.positions_per_doc,
        }
        extra = {
            "prompt_templates": config.templates.model_dump(),
            "target": ready.target_record,
            "set_id": ready.set_id,
            "seed": config.seed,
            "created_by": f"nla-ray {__version__}",
        }
        return dataset_sidecar_text(
            stage=self.split, rows=rows, base_model=ready.base_model, d_model=ready.d_model,
            layer=config.layer, extraction=extraction, extra=extra,
        )  # fmt: skip
