"""The files of a corpus: paths, globs, folders and buckets become a list of files of known formats."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

from nla_ray.errors import InputError
from nla_ray.store.places.files import S3, exists, expand, read_bytes

Format = Literal["jsonl", "text", "parquet", "arrow"]

DEMO_CORPUS = "demo:corpus"
_SHIPPED = "demo/pair/corpus.jsonl"
_FORMATS: dict[str, Format] = {".jsonl": "jsonl", ".txt": "text", ".parquet": "parquet", ".arrow": "arrow"}
_PACKED = {".gz": "gzip", ".zst": "zstd"}
_KNOWN = f"{', '.join(_FORMATS)}; .jsonl and .txt also as {' and '.join(_PACKED)}"


@dataclass(frozen=True)
class Source:
    """One corpus file: the name it is reported under, where it is, its format and how it is compressed.

    A local path is absolute, for a worker runs in a folder of its own.
    """

    label: str
    path: str
    format: Format
    compression: str | None = None

    @property
    def place(self) -> str:
        """Where the file is on this machine: the shipped corpus lies wherever the package is installed."""
        return str(files("nla_ray") / _SHIPPED) if self.path == DEMO_CORPUS else self.path


def corpus_files(paths: Iterable[str]) -> list[Source]:
    """The files that the paths mean, each once, in order; folders and globs in the order of names.

    Raises InputError: a path does not exist, there is no corpus file in it, a format that is not known.
    """
    found = {source.label: source for path in paths for source in _sources(path)}
    return list(found.values())


def _sources(path: str) -> list[Source]:
    if path == DEMO_CORPUS:
        return [Source(DEMO_CORPUS, DEMO_CORPUS, "jsonl")]
    there = expand(path)
    if not there.folder:
        return [_known(file) for file in there.files]
    names = {file.rpartition("/")[2] for file in there.files}
    if "state.json" in names:
        return _saved_dataset(path)
    if "dataset_dict.json" in names:
        splits = ", ".join(json.loads(read_bytes(_join(path, "dataset_dict.json"))).get("splits", []))
        raise InputError(f"{path}: this folder holds the splits {splits}; name one of them: {path}/SPLIT")
    corpus = [source for file in there.files if (source := source_of(file)) is not None]
    if not corpus:
        raise InputError(f"{path}: no corpus files in this folder; expected {_KNOWN}")
    return corpus


def source_of(file: str) -> Source | None:
    """The file as a source by its suffix; None for a format that is not known."""
    stem, dot, last = file.rpartition(".")
    compression = _PACKED.get(dot + last)
    kind = _FORMATS.get("." + stem.rpartition(".")[2] if compression else dot + last)
    if kind is None or (compression and kind not in ("jsonl", "text")):
        return None
    return Source(file, _absolute(file), kind, compression)


def _known(file: str) -> Source:
    source = source_of(file)
    if source is None:
        suffix = file.rpartition("/")[2].partition(".")
        raise InputError(f"{file}: unknown corpus format {suffix[1] + suffix[2]!r}; expected {_KNOWN}")
    return source


def _saved_dataset(folder: str) -> list[Source]:
    """The Arrow files of a data set on disk, in the order of its state file."""
    try:
        names = [
            file["filename"] for file in json.loads(read_bytes(_join(folder, "state.json")))["_data_files"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder}/state.json: not the state of a saved data set: {error!r}") from None
    missing = [name for name in names if not exists(_join(folder, name))]
    if missing:
        raise InputError(f"{folder}: {missing[0]} is missing, which its state.json lists")
    return [Source(_join(folder, name), _absolute(_join(folder, name)), "arrow") for name in names]


def _join(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}"


def _absolute(path: str) -> str:
    return path if path.startswith(S3) else str(Path(path).absolute())
