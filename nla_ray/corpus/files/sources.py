"""The files of a corpus: paths, globs, folders and buckets become a list of files of known formats."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path

from nla_ray.config.reading.corpus import Corpus
from nla_ray.corpus.files.names import (
    KNOWN,
    Format,
    Partition,
    format_of,
    is_beside,
    is_hidden,
    partition_of,
    plain_path,
    transcript_format,
    why_not,
)
from nla_ray.errors import InputError
from nla_ray.store.places.files import FOLDER, S3, Listing, Stamp, exists, expand, read_bytes

DEMO_CORPUS = "demo:corpus"
_SHIPPED = "demo/pair/corpus.jsonl"
_HIDDEN = "names that begin with . or _"
_SUB = "folders: name FOLDER/**/*.ENDING; corpus.partitions: true reads those that are called key=value"
_NAMED = 5
"""So many names are said of what is not read."""


@dataclass(frozen=True)
class Source:
    """One corpus file: the name it is reported under, where it is, its format and how it is compressed.

    A local path is absolute, for a worker runs in a folder of its own. `name` is that below the folder or the
    pattern that was given, `called` the same where no other file of the corpus has it, else the label: a
    document that goes by its place keeps its id when the corpus is moved as a whole. `partition` is what the
    folders between them say. `stamp` is that of the file that
    was planned, with whose documents those that are read can be compared; without one, what comes from S3 is
    fetched twice.
    """

    label: str
    path: str
    format: Format
    compression: str | None = None
    name: str = ""
    called: str = ""
    partition: Partition = ()
    stamp: Stamp | None = None

    @property
    def place(self) -> str:
        """Where the file is on this machine: the shipped corpus lies wherever the package is installed."""
        return str(files("nla_ray") / _SHIPPED) if self.path == DEMO_CORPUS else self.path

    @property
    def title(self) -> str:
        """What the file is called in rows."""
        return self.called or self.label

    def at(self, number: int) -> str:
        """What a document is called by its place: the file's name and its line or row number."""
        return f"{self.title}:{number}"


@dataclass
class Files:
    """The files of a corpus, each once and in order; `left` is what is not read, by the reason."""

    known: Callable[[str], tuple[Format, str | None] | None] = format_of
    sources: dict[str, Source] = field(default_factory=dict)
    left: dict[str, list[str]] = field(default_factory=dict)

    def leave(self, name: str, why: str) -> None:
        """Note what is not read."""
        self.left.setdefault(why, []).append(name)

    def add(self, file: str, name: str, partition: Partition = ()) -> None:
        """Take a file of a folder or a pattern, if its format is known."""
        known = self.known(file)
        if known is None:
            self.leave(file, why_not(file))
            return
        path = _absolute(file)
        self.sources.setdefault(path, Source(file, path, *known, name, partition=partition))

    def left_out(self) -> list[str]:
        """A line for each reason why something is not read."""
        lines = []
        for why, names in self.left.items():
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            said = f"{why}: {len(names)}" if why == _HIDDEN else f"{', '.join(names[:_NAMED])}{more}: {why}"
            lines.append(f"not read: {said}")
        return lines


def corpus_files(corpus: Corpus) -> list[Source]:
    """The files that a corpus is, each once, in order; folders and globs in the order of names.

    Raises InputError: a path does not exist, there is no corpus file in it, a format that is not known.
    """
    return list(find_files(corpus).sources.values())


def find_files(corpus: Corpus) -> Files:
    """The same files, with what is not read beside them."""
    every = Files()
    for path in corpus.paths:
        found = _find(plain_path(path), corpus)
        every.sources |= {name: one for name, one in found.sources.items() if name not in every.sources}
        for why, names in found.left.items():
            every.left.setdefault(why, []).extend(names)
    names_of = Counter(source.name for source in every.sources.values())
    every.sources = {
        path: replace(one, called=one.name if names_of[one.name] == 1 else one.label)
        for path, one in every.sources.items()
    }
    return every


def _find(path: str, corpus: Corpus) -> Files:
    partitions = corpus.partitions
    found = Files(format_of if corpus.transcripts is None else transcript_format)
    if path == DEMO_CORPUS:
        found.sources[path] = Source(path, path, "jsonl", name=_SHIPPED.rpartition("/")[2])
        return found
    there = expand(path, deep=partitions)
    if there.single and found.known(path) is None:
        raise InputError(f"{path}: {why_not(path)}")
    names = {_below(there.base, file) for file in there.files}
    if there.folder and "state.json" in names:
        return _saved_dataset(path, there)
    if there.folder and "dataset_dict.json" in names:
        splits = ", ".join(json.loads(read_bytes(_join(path, "dataset_dict.json"))).get("splits", []))
        raise InputError(f"{path}: this folder holds the splits {splits}; name one of them: {path}/SPLIT")
    _take(found, there, path, partitions)
    if not found.sources:
        kind = "in this folder" if there.folder else "match this pattern"
        left = "; ".join(["", *found.left_out()])
        raise InputError(f"{path}: no corpus files {kind}; expected {KNOWN}{left}")
    return found


def _take(found: Files, there: Listing, path: str, partitions: bool) -> None:
    """The files of a folder or a pattern, and what else is there; a pattern may ask for hidden names."""
    asked = there.single or (not there.folder and is_hidden(_below(there.base, path)))
    for file in there.files:
        name = _below(there.base, file)
        partition = partition_of(name) if partitions else ()
        if is_hidden(name) and not asked:
            found.leave(file, _HIDDEN)
        elif is_beside(file):
            continue
        elif partition is None:
            found.leave(file, _SUB)
        else:
            found.add(file, name, partition)
    for other, what in there.others:
        if is_hidden(_below(there.base, other)) and not asked:
            found.leave(other, _HIDDEN)
        elif what != FOLDER or not any(file.startswith(f"{other}/") for file in there.files):
            found.leave(other, _SUB if what == FOLDER else what)


def _saved_dataset(folder: str, there: Listing) -> Files:
    """The Arrow files of a data set on disk, in the order of its state file."""
    try:
        state = json.loads(read_bytes(_join(folder, "state.json")))
        names, chosen = [file["filename"] for file in state["_data_files"]], state.get("_indices_files")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{folder}/state.json: not the state of a saved data set: {error!r}") from None
    if chosen:
        raise InputError(f"{folder}: a choice of the rows in its files; save what flatten_indices() gives")
    missing = [name for name in names if not exists(_join(folder, name))]
    if missing:
        raise InputError(f"{folder}: {missing[0]} is missing, which its state.json lists")
    found = Files()
    for name in names:
        found.add(_join(folder, name), name)
    for file in there.files:
        if file.endswith(".arrow") and _below(there.base, file) not in names:
            found.leave(file, "not listed in the folder's state.json")
    return found


def _below(base: str, file: str) -> str:
    return file.removeprefix(base).lstrip("/") if base != "." else file


def _join(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}"


def _absolute(path: str) -> str:
    return path if path.startswith(S3) else str(Path(path).absolute())
