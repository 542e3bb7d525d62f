"""Whether files of vectors fit the verbalizer: their types, and the sidecars beside them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from nla_ray.config.reading.corpus import Corpus
from nla_ray.corpus.files.parquet import open_parquet
from nla_ray.corpus.files.sources import Source, corpus_files
from nla_ray.corpus.vectors.columns import vector_length
from nla_ray.errors import CheckpointError, InputError
from nla_ray.nla.sidecar.dataset import DatasetSidecar, read_dataset_sidecar
from nla_ray.store.places.files import S3, exists, opened, read_bytes


@dataclass(frozen=True)
class VectorOrigin:
    """Where the vectors come from: the model that the sidecars name, and what in them is to be doubted."""

    base_model: str | None
    warnings: tuple[str, ...]


def check_vectors(corpus: Corpus, *, d_model: int, layer: int, whose: str = "the verbalizer") -> VectorOrigin:
    """Check every file of vectors against the `d_model` and K of whom they are for, without reading vectors.

    A file need not have a sidecar. Raises InputError: another size, another layer, more than one base model,
    a sidecar that cannot be read.
    """
    models: dict[str, str] = {}
    warnings = []
    for source in corpus_files(corpus):
        rows = _check_schema(source, corpus, d_model, whose)
        sidecar = _sidecar(source)
        if sidecar is None:
            continue
        for name, found, wanted in (("d_model", sidecar.d_model, d_model), ("layer", sidecar.layer, layer)):
            if found != wanted:
                raise InputError(
                    f"{sidecar.path}: {name} is {found}, {whose}'s is {wanted}; "
                    "take the pair that was made for these vectors"
                )
        models[sidecar.base_model] = source.label
        stale = None if rows is None else sidecar.stale_rows(rows)
        warnings += [stale] if stale else []
    if len(models) > 1:
        which = ", ".join(f"{model} ({label})" for model, label in models.items())
        raise InputError(f"corpus.paths: vectors of different models: {which}; decode them one by one")
    return VectorOrigin(next(iter(models), None), tuple(warnings))


def _check_schema(source: Source, corpus: Corpus, d_model: int, whose: str) -> int | None:
    """Rows of a Parquet file, None of another; an Arrow file is checked where it is read."""
    if source.format != "parquet" or corpus.vectors is None:
        return None
    with opened(source.path, twice=True) as file:
        parquet = open_parquet(file, source.label)
        schema, rows = parquet.schema_arrow, int(parquet.metadata.num_rows)
    at = schema.get_field_index(corpus.vectors.column)
    length = None if at < 0 else vector_length(source.label, schema.field(at))
    if length not in (None, d_model):
        raise InputError(f"{source.label}: vectors of {length} values, {whose} takes {d_model}")
    return rows


def _sidecar(source: Source) -> DatasetSidecar | None:
    name = f"{source.path}.nla_meta.yaml"
    if not exists(name):
        return None
    try:
        if not name.startswith(S3):
            return read_dataset_sidecar(Path(source.path))
        with TemporaryDirectory() as folder:
            copy = Path(folder, PurePosixPath(name).name)
            copy.write_bytes(read_bytes(name))
            return read_dataset_sidecar(Path(str(copy).removesuffix(".nla_meta.yaml")))
    except CheckpointError as error:
        raise InputError(f"{source.label}: its sidecar cannot be used: {error}") from None
