"""Splits of a training set: published Parquet tables, checked, and memory-mapped from a local Arrow copy."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nla_ray.cache import cache_folder
from nla_ray.config.training.train import Split as Name
from nla_ray.errors import CheckpointError, InputError
from nla_ray.ids import digest
from nla_ray.nla.injection import unusable
from nla_ray.nla.sidecar.dataset import DatasetSidecar, read_dataset_sidecar
from nla_ray.store.places.files import S3, expand, opened, read_bytes

Floats = npt.NDArray[np.float32]

INJECT = "<INJECT>"
VECTOR = "activation_vector"
TEXT: dict[Name, str | None] = {
    "ar_sft": "prompt", "av_sft": "response", "rl": None, "held_out": "api_explanation",
}  # fmt: skip
"""The column whose text a split is for. A row without it is left out, but not of `held_out`."""

_FLOATS = (pa.float16(), pa.float32(), pa.float64())
_BATCH = 4096


class Examples(Protocol):
    """Texts with the vector that each is about."""

    @property
    def name(self) -> str: ...

    def __len__(self) -> int: ...

    def vectors(self, rows: npt.NDArray[np.int64]) -> Floats:
        """Raw vectors [n, D] of these rows, finite and not zero."""
        ...

    def texts(self, rows: npt.NDArray[np.int64]) -> list[str | None]:
        """Texts of these rows."""
        ...

    def others(self, seed: int) -> npt.NDArray[np.int64]:
        """For every row one of another document."""
        ...


@dataclass(frozen=True)
class InMemory:
    """Rows that are all at hand: raw vectors [N, D], their texts, and of which document [N] each is."""

    name: str
    values: Floats
    said: Sequence[str] = ()
    documents: Sequence[int] = ()

    def __len__(self) -> int:
        return len(self.values)

    def vectors(self, rows: npt.NDArray[np.int64]) -> Floats:
        """See `Examples`."""
        found: Floats = self.values[rows]
        return found

    def texts(self, rows: npt.NDArray[np.int64]) -> list[str | None]:
        """See `Examples`."""
        return [self.said[row] for row in rows]

    def others(self, seed: int) -> npt.NDArray[np.int64]:
        """See `Examples`."""
        return of_others(np.asarray(self.documents), seed)


@dataclass(frozen=True)
class Split:
    """Rows of one split in a memory-mapped table: `vector`, `text`, `doc_id`.

    `prompt` is the verbalizer's message with `<INJECT>` in it, of splits that have one; `sample` is one
    (prompt, explanation) of the reconstructor's split, where the explanation is known.
    """

    name: Name
    url: str
    identity: str
    sidecar: DatasetSidecar
    dropped: int
    prompt: str | None
    sample: tuple[str, str] | None
    table: pa.Table

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def d_model(self) -> int:
        return self.sidecar.d_model

    def vectors(self, rows: npt.NDArray[np.int64]) -> Floats:
        """Raw vectors [n, d_model] of these rows."""
        found = np.empty((len(rows), self.d_model), dtype=np.float32)
        chunks = np.searchsorted(self._starts, rows, side="right") - 1
        for chunk in np.unique(chunks):
            at = chunks == chunk
            found[at] = self._chunks[chunk][rows[at] - self._starts[chunk]]
        return found

    def texts(self, rows: npt.NDArray[np.int64]) -> list[str | None]:
        """Texts of these rows."""
        column = self.table["text"]
        return [column[int(row)].as_py() for row in rows]

    def others(self, seed: int) -> npt.NDArray[np.int64]:
        """See `of_others`."""
        codes = self.table["doc_id"].combine_chunks().dictionary_encode().indices
        return of_others(np.asarray(codes.to_numpy(), dtype=np.int64), seed)

    @cached_property
    def with_text(self) -> npt.NDArray[np.int64]:
        """The rows that have a text."""
        valid = self.table["text"].is_valid().to_numpy()
        return np.flatnonzero(valid)

    @cached_property
    def _chunks(self) -> list[Floats]:
        chunks = self.table["vector"].chunks
        return [chunk.flatten().to_numpy().reshape(-1, self.d_model) for chunk in chunks]

    @cached_property
    def _starts(self) -> npt.NDArray[np.int64]:
        sizes = [len(chunk) for chunk in self._chunks]
        return np.concatenate(([0], np.cumsum(sizes[:-1]))).astype(np.int64)


def injection_scale(vectors_ND: Floats) -> float:
    """The norm that three quarters of the vectors do not exceed: the published choice."""
    return round(float(np.quantile(np.linalg.norm(vectors_ND, axis=1), 0.75)), 3)


def of_others(documents: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.int64]:
    """For every row of these documents [N] another one, of another document where there are several."""
    rng = np.random.default_rng((seed, len(documents)))
    order = rng.permutation(len(documents))
    other = np.empty_like(order)
    other[order] = np.roll(order, 1)
    for _ in range(16):
        same = np.flatnonzero(documents[other] == documents)
        if not len(same):
            break
        other[same] = rng.integers(len(documents), size=len(same))
    return other


@dataclass(frozen=True)
class Order:
    """The rows of each step: epochs in an order of their own, cut into batches that may span two of them."""

    rows: int
    batch: int
    seed: int

    def of(self, step: int, rank: int = 0, size: int = 1) -> npt.NDArray[np.int64]:
        """This rank's rows of a step; those of all ranks together depend on the seed and the step alone."""
        places = np.arange(step * self.batch, (step + 1) * self.batch)
        epochs = places // self.rows
        orders = {e: np.random.default_rng((self.seed, e)).permutation(self.rows) for e in np.unique(epochs)}
        chosen = [orders[epoch][place % self.rows] for epoch, place in zip(epochs, places, strict=True)]
        return np.asarray(chosen, dtype=np.int64)[rank::size]


def open_split(url: str, name: Name) -> Split:
    """A split from a Parquet file, a folder of them, or `s3://`, each file with its sidecar.

    Raises InputError: no file, a column that is missing or of another type, transformed vectors, files of
    different models or layers, no usable row.
    """
    files = [file for file in expand(url).files if file.endswith(".parquet")]
    if not files:
        raise InputError(f"{url}: no Parquet file; a split is a file or a folder of files *.parquet")
    sidecars = [read_sidecar(file) for file in files]
    for file, one in zip(files, sidecars, strict=True):
        found, first = [(s.d_model, s.layer, s.base_model) for s in (one, sidecars[0])]
        if found != first:
            raise InputError(
                f"{file}: d_model, layer and base model {found}, other files of this split {first}; "
                "train on one of them"
            )
    identity = digest(name, *[_footer(file) for file in files])
    copy = cache_folder() / "splits" / f"{identity}.arrow"
    if not copy.exists():
        _convert(files, name, sidecars[0].d_model, copy)
    said = json.loads(copy.with_suffix(".json").read_text(encoding="utf-8"))
    table = pa.ipc.open_file(pa.memory_map(str(copy))).read_all()
    if not table.num_rows:
        lost = f": none of its {said['dropped']} rows can be used" if said["dropped"] else ""
        raise InputError(f"{url}: the split {name} is empty{lost}; give one with rows")
    sample = tuple(said["sample"]) if said["sample"] else None
    return Split(name, url, identity, sidecars[0], said["dropped"], said["prompt"], sample, table)


def read_sidecar(file: str) -> DatasetSidecar:
    """The sidecar beside a table, also on S3. Raises InputError: missing, malformed, transformed vectors."""
    try:
        if not file.startswith(S3):
            return read_dataset_sidecar(Path(file))
        with TemporaryDirectory() as folder:
            copy = Path(folder, PurePosixPath(file).name)
            Path(f"{copy}.nla_meta.yaml").write_bytes(read_bytes(f"{file}.nla_meta.yaml"))
            return read_dataset_sidecar(copy)
    except CheckpointError as error:
        raise InputError(f"{file}: its sidecar cannot be used: {error}") from None


def _footer(file: str) -> str:
    """Identity of a Parquet file without reading it: its length, and its footer with sizes and extremes."""
    with opened(file) as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - 8))
        length = int.from_bytes(stream.read(4), "little")
        stream.seek(max(0, size - 8 - length))
        return digest(size, stream.read().hex())


@dataclass
class _Said:
    """What the rows of a split say together."""

    dropped: int = 0
    prompt: str | None = None
    sample: tuple[str, str] | None = None


def _convert(files: Sequence[str], name: Name, d_model: int, copy: Path) -> None:
    """Write the usable rows of all files to one Arrow file, whole or not at all."""
    part = copy.with_name(f".{uuid.uuid4().hex}.part")
    fields = [
        ("vector", pa.list_(pa.float32(), d_model)),
        ("text", pa.large_string()),
        ("doc_id", pa.string()),
    ]
    schema, said = pa.schema(fields), _Said()
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        with pa.ipc.new_file(str(part), schema) as writer:
            for file in files:
                for columns in _read(file, name, d_model, said):
                    writer.write_batch(pa.record_batch(columns, schema=schema))
        beside = part.with_suffix(".json")
        beside.write_text(json.dumps(asdict(said)), encoding="utf-8")
        beside.replace(copy.with_suffix(".json"))
        part.replace(copy)
    except OSError as error:
        raise InputError(
            f"{copy.parent}: cannot keep a local copy of {files[0]}: {error.strerror or error}; "
            "name another folder in NLA_RAY_CACHE"
        ) from None
    finally:
        part.unlink(missing_ok=True)


def _read(file: str, name: Name, d_model: int, said: _Said) -> Iterator[list[pa.Array]]:
    """Columns vector, text and doc_id of the usable rows, some thousand at a time."""
    with opened(file) as stream:
        try:
            parquet = pq.ParquetFile(stream)
            schema = parquet.schema_arrow
            optional = name == "held_out" and TEXT[name] not in schema.names
            text = None if optional else TEXT[name]
            wanted = [one for one in (text, VECTOR, "doc_id") if one]
            missing = [one for one in wanted if one not in schema.names]
            if missing:
                raise InputError(
                    f"{file}: no column {missing[0]!r}, which a table of {name} has; found "
                    f"{', '.join(schema.names[:12])}"
                )
            _require_vectors(file, schema.field(VECTOR).type)
            more = {"prompt", "api_explanation"} & set(schema.names)
            for batch in parquet.iter_batches(_BATCH, columns=sorted({*wanted, *more})):
                _hear(file, name, batch, said)
                yield _usable(file, batch, text, name, d_model, said)
        except pa.ArrowException as error:
            raise InputError(f"{file}: cannot read this Parquet file: {error}") from None


def _require_vectors(file: str, kind: pa.DataType) -> None:
    lists = pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if not lists or kind.value_type not in _FLOATS:
        raise InputError(f"{file}: {VECTOR} is {kind}; lists of float16, float32 or float64 were expected")


def _usable(
    file: str, batch: pa.RecordBatch, text: str | None, name: Name, d_model: int, said: _Said
) -> list[pa.Array]:
    vectors = _matrix(file, batch[VECTOR], d_model)
    keep = np.array([reason is None for reason in unusable(vectors)], dtype=bool)
    texts = pa.nulls(len(batch), pa.large_string()) if text is None else batch[text].cast(pa.large_string())
    if text is not None and name != "held_out":
        keep &= np.asarray(pc.greater(pc.utf8_length(texts).fill_null(0), 0))
    said.dropped += len(batch) - int(keep.sum())
    stored = pa.FixedSizeListArray.from_arrays(pa.array(vectors[keep].ravel()), d_model)
    return [stored, texts.filter(pa.array(keep)), batch["doc_id"].cast(pa.string()).filter(pa.array(keep))]


def _matrix(file: str, column: pa.Array, d_model: int) -> Floats:
    """The vectors [n, d_model] of one batch in float32; a null is a row of NaN."""
    lengths = np.asarray(pc.list_value_length(column).fill_null(d_model))
    if (wrong := lengths[lengths != d_model]).size:
        raise InputError(f"{file}: a vector of {wrong[0]} values; its sidecar says d_model {d_model}")
    valid = np.asarray(column.is_valid())
    vectors = np.full((len(column), d_model), np.nan, dtype=np.float32)
    values = np.asarray(column.drop_null().flatten().fill_null(float("nan")))
    # A float64 value beyond float32 becomes infinite, and its row is left out.
    with np.errstate(over="ignore"):
        vectors[valid] = values.astype(np.float32).reshape(-1, d_model)
    return vectors


def _hear(file: str, name: Name, batch: pa.RecordBatch, said: _Said) -> None:
    """Note the verbalizer's message, the same in all rows, or a sample of the reconstructor's."""
    if "prompt" not in batch.schema.names or not len(batch):
        return
    prompts = batch["prompt"]
    if name == "ar_sft":
        if said.sample is None and "api_explanation" in batch.schema.names:
            pairs = zip(prompts.to_pylist(), batch["api_explanation"].to_pylist(), strict=True)
            said.sample = next(((one, text) for one, text in pairs if one and text), None)
        return
    for messages in _distinct(prompts):
        content = _message(file, messages)
        if said.prompt not in (None, content):
            raise InputError(f"{file}: its rows have different prompts; a verbalizer has one")
        said.prompt = content


def _distinct(prompts: pa.Array) -> list[Any]:
    """The different prompts of a batch."""
    found: list[Any] = []
    for prompt in prompts.to_pylist():
        if prompt is not None and prompt not in found:
            found.append(prompt)
    return found


def _message(file: str, messages: Any) -> str:
    """The one user message of a prompt, with `<INJECT>` once."""
    if (
        isinstance(messages, list)
        and len(messages) == 1
        and isinstance(messages[0], dict)
        and messages[0].get("role") == "user"
        and str(messages[0].get("content")).count(INJECT) == 1
    ):
        return str(messages[0]["content"])
    raise InputError(f"{file}: a prompt is one message of the user with {INJECT} in it once")
