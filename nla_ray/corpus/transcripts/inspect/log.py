"""Inspect logs: `.eval`, sample by sample and in both of its shapes, and `.json`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, BinaryIO
from zipfile import ZipInfo

from nla_ray.corpus.transcripts.inspect.archive import member, members
from nla_ray.corpus.transcripts.inspect.chunks import chunked
from nla_ray.corpus.transcripts.inspect.sample import Sample, plain_sample, sample_transcript
from nla_ray.corpus.transcripts.model import Transcript, unreadable
from nla_ray.corpus.transcripts.values import LARGEST, UnreadableError, parsed, some_object
from nla_ray.errors import InputError

_HEADER, _START = "header.json", "_journal/start.json"
_FACTS = ("model", "task", "task_id", "run_id", "created")
_CHUNKED = re.compile(r"samples/(.+_epoch_\d+)/sample\.json", re.DOTALL)
_PLAIN = re.compile(r"samples/(.+)\.json", re.DOTALL)


def eval_transcripts(file: BinaryIO, label: str, ignore: Collection[str] = ()) -> Iterator[Transcript]:
    """The samples of an `.eval` file in its order, one held at a time.

    A log that was not finished has no header: its samples are read, and their status is `started`.
    Raises InputError: no zip file, no Inspect log.
    """
    inside = members(file, label)
    run = _run(file, inside, label)
    for key, name in _samples(inside).items():
        try:
            sample = _sample(file, inside, key, name)
        except UnreadableError as error:
            yield unreadable(key, error, run)
            continue
        yield sample_transcript(key, sample, run, ignore)


def json_transcripts(file: BinaryIO, label: str, ignore: Collection[str] = ()) -> Iterator[Transcript]:
    """The samples of a log that is one JSON object. Raises InputError: it is none, or too large to hold."""
    content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise InputError(
            f"{label}: an Inspect log of more than {LARGEST >> 20} MiB as one JSON object; "
            "convert it to .eval (inspect log convert), which is read sample by sample"
        )
    try:
        log = parsed(content)
    except UnreadableError as error:
        raise InputError(f"{label}: cannot read this Inspect log: {error}") from None
    samples = some_object(log).get("samples")
    if not isinstance(samples, list):
        raise InputError(f"{label}: an Inspect log without a list of samples; was only its header written?")
    run = run_facts(log)
    for number, sample in enumerate(samples, start=1):
        fields = some_object(sample)
        named = isinstance(fields.get("id"), str | int) and isinstance(fields.get("epoch"), int)
        key = f"{fields['id']}_epoch_{fields['epoch']}" if named else f"sample {number}"
        if isinstance(sample, Mapping):
            yield sample_transcript(key, plain_sample(sample), run, ignore)
        else:
            yield unreadable(key, f"found {type(sample).__name__} where a JSON object belongs", run)


def run_facts(log: Mapping[str, Any], status: str | None = None) -> dict[str, Any]:
    """What a log's header says of all its samples."""
    spec = some_object(log.get("eval"))
    facts = {"status": log.get("status", status), **{name: spec.get(name) for name in _FACTS}}
    return {name: value for name, value in facts.items() if isinstance(value, str)}


def _run(file: BinaryIO, inside: Mapping[str, ZipInfo], label: str) -> dict[str, Any]:
    name = next((name for name in (_HEADER, _START) if name in inside), None)
    if name is None:
        raise InputError(f"{label}: a zip file without {_HEADER} and {_START}; this is no Inspect log")
    try:
        log = parsed(member(file, inside[name]))
    except UnreadableError as error:
        raise InputError(f"{label}: cannot read this Inspect log's {name}: {error}") from None
    return run_facts(some_object(log), "started")


def _samples(inside: Mapping[str, ZipInfo]) -> dict[str, str]:
    """The member that holds each sample, by the sample's name."""
    shells = {match[1]: name for name in inside if (match := _CHUNKED.fullmatch(name))}
    found = dict[str, str]()
    for name in inside:
        match = _CHUNKED.fullmatch(name) or _PLAIN.fullmatch(name)
        if match and not any(part in shells for part in _folders(match[1])):
            found.setdefault(match[1], name)
    return found


def _folders(name: str) -> Iterator[str]:
    parts = name.split("/")
    return ("/".join(parts[:count]) for count in range(1, len(parts)))


def _sample(file: BinaryIO, inside: Mapping[str, ZipInfo], key: str, name: str) -> Sample:
    value = parsed(member(file, inside[name]))
    if not isinstance(value, Mapping):
        raise UnreadableError(f"{name} holds {type(value).__name__} where a JSON object belongs")
    if name == f"samples/{key}.json":
        return plain_sample(value)
    return chunked(value, f"samples/{key}/", inside, lambda info: parsed(member(file, info)))
