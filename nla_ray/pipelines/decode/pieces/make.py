"""One corpus file to its piece: what a worker does before anything is decoded."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from transformers import PreTrainedTokenizerBase

from nla_ray.config.decode import DecodeConfig
from nla_ray.corpus.documents.document import Document
from nla_ray.corpus.documents.find import file_documents, key_of
from nla_ray.corpus.files.checked import checked
from nla_ray.corpus.files.places import Place
from nla_ray.corpus.files.sources import Source
from nla_ray.corpus.reading.reader import Reader, Reading, VectorReader
from nla_ray.corpus.redaction.keep import Keeper
from nla_ray.ids import digest
from nla_ray.models import directory_of
from nla_ray.pipelines.decode.pieces.examples import DOCUMENTS, examples_of
from nla_ray.pipelines.decode.pieces.piece import PIECE, Head, Shown, to_object, to_parquet
from nla_ray.stages.code import code_of
from nla_ray.stages.controls import Mixer
from nla_ray.stages.extract import reader_of, tokenizer_of, vocabulary_of
from nla_ray.stages.units.work import places_of
from nla_ray.stages.write import keeper_of, placeless
from nla_ray.store.places.sums import file_sha256

BATCH = 8192
"""Documents of a row group of a piece."""

TOLD = 256
_ELSEWHERE = {"paths", "unit_documents", "units"}
"""What of a corpus has no effect on how a file of it is read."""

Row = dict[str, Any]
"""A row of a piece."""

Tick = Callable[[int], None]
"""Told how many documents of a file are read."""


class Made(NamedTuple):
    """What was made of a file: the name under which it is kept, and the object."""

    name: str
    data: bytes


@dataclass(frozen=True)
class Surveyor:
    """Reads corpus files as a configuration says, on whichever machine it is called.

    `reads` is the digest of all that a piece follows from beside its file: pieces are found by it, by runs of
    every target with the same tokenizer. Pieces are stored: of texts that must not be, they hold nothing.
    """

    config: DecodeConfig
    d_model: int
    layer: int
    reads: str
    tick: Tick | None = None

    def name(self, source: Source) -> str:
        """What the piece of a file with this stamp is called."""
        return digest("piece", self.reads, json.dumps(asdict(source), sort_keys=True))[:32]

    def __call__(self, source: Source) -> Made:
        """The piece of a file. Raises InputError for what cannot be read as a whole."""
        corpus, shown = self.config.corpus, list[Shown]()
        with checked(source, whole=corpus.limit is None) as (stamped, here):
            documents = file_documents(here, corpus, self.config.positions.column)
            rows = self._rows(islice(documents, corpus.limit), shown)
            content = to_parquet(_batches(rows), lambda: Head(stamped, tuple(shown)))
        return Made(self.name(stamped), to_object(content))

    def _rows(self, documents: Iterable[tuple[Place, Document]], shown: list[Shown]) -> Iterator[Row]:
        reader, mixer = reader_for(self), Mixer((), self.config.controls, self.config.seed)
        keeper = keeper_of(self.config)
        for number, (place, document) in enumerate(documents):
            reading = self._read(reader, document)
            if len(shown) < DOCUMENTS and (examples := examples_of(keeper.stored(reading))):
                shown.append(Shown(number, tuple(examples)))
            yield _row(place, reading, mixer, keeper)
            if self.tick is not None and number % TOLD == TOLD - 1:
                self.tick(number + 1)

    def _read(self, reader: Reader | VectorReader, document: Document) -> Reading:
        """What is read of a document; where the target is to answer it first, only whether that can be."""
        if self.config.continuation is not None and isinstance(reader, Reader):
            return Reading(document, problem=reader.refusal(document))
        return reader.read(document)


def surveyor_of(config: DecodeConfig, target: Path | None, *, d_model: int, layer: int) -> Surveyor:
    """The surveyor of a corpus. Raises NlaError for what cannot be used whatever the documents are."""
    tokenizer, vocabulary = tokenizer_of(config, target), vocabulary_of(config, target)
    reader_of(config, tokenizer, d_model=d_model, layer=layer, vocabulary=vocabulary)
    corpus = config.corpus.effective()
    recipe = {
        "corpus": {name: value for name, value in corpus.items() if name not in _ELSEWHERE},
        "positions": config.positions.effective(),
        "controls": config.controls.effective(),
        "answered": config.continuation is not None,
        "seed": config.seed,
        "sample": None if config.sample is None else config.sample.effective() | {"vectors": None},
        "vectors": None if config.corpus.vectors is None else [d_model, layer],
        "tokenizer": None if tokenizer is None else tokenizer_digest(tokenizer),
        "vocabulary": vocabulary,
        "stored": [config.store_text, config.text_window, config.redact and config.redact.effective()],
        "code": asdict(code_of()),
    }
    reads = digest("survey", json.dumps(recipe, sort_keys=True))
    return Surveyor(config, d_model, layer, reads)


def tokenizer_digest(tokenizer: PreTrainedTokenizerBase) -> str:
    """Hash of all that a tokenizer does, wherever it was loaded from."""
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        parts = [part for path in files for part in (path.name, file_sha256(path))]
    return digest(type(tokenizer).__name__, *parts)


_READERS: dict[str, Reader | VectorReader] = {}


def reader_for(surveyor: Surveyor) -> Reader | VectorReader:
    """The reader of this process, which is loaded for the first of its files alone."""
    if surveyor.reads not in _READERS:
        _READERS.clear()
        config = surveyor.config
        target = None if config.target is None else directory_of(config.target, weights=False)
        _READERS[surveyor.reads] = reader_of(
            config,
            tokenizer_of(config, target),
            d_model=surveyor.d_model,
            layer=surveyor.layer,
            vocabulary=vocabulary_of(config, target),
        )
    return _READERS[surveyor.reads]


def _row(place: Place, reading: Reading, mixer: Mixer, keeper: Keeper) -> Row:
    document, places = reading.document, places_of([reading])
    drawn = Counter(control for at in places for control, _ in mixer.drawn(at))
    return {
        "number": place.number,
        "offset": place.offset,
        "skip": place.skip,
        "digest": bytes.fromhex(document.content_digest()),
        "key": key_of(document),
        "doc_id": _bytes(document.doc_id),
        "position": document.position,
        "problem": None if reading.problem is None else _bytes(keeper.reason(reading.problem)),
        "noted": [keeper.reason(one) for one in document.noted],
        "lacking": document.lacking,
        "shape": None if document.chat is None else document.chat.shape,
        "placeless": placeless(reading),
        "places": len(places),
        "controls": drawn.total() - drawn["shuffled"],
        "shuffled": drawn["shuffled"],
        "tokens": len(reading.token_ids),
        "left_out": sum(reading.left_out),
        "truncated": reading.truncated,
        "windowed": reading.windowed,
    }


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _batches(rows: Iterator[Row]) -> Iterator[pa.RecordBatch]:
    while some := list(islice(rows, BATCH)):
        yield pa.RecordBatch.from_pylist(some, schema=PIECE)
