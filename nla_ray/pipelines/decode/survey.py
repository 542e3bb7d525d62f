"""A corpus before it is decoded: its units, how many rows each leads to, what of it cannot be used."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

from nla_ray.config.decode import DecodeConfig
from nla_ray.config.reading.corpus import Corpus
from nla_ray.corpus.documents.faults import Faults
from nla_ray.corpus.documents.pieces import units_of
from nla_ray.corpus.files.sources import find_files
from nla_ray.corpus.reading.reader import Reader, Reading
from nla_ray.errors import ConfigError
from nla_ray.nla.sidecar.read import Sidecar
from nla_ray.pipelines.decode.examples import DOCUMENTS, Example, examples_of
from nla_ray.stages.extract import reader_of, tokenizer_of, vocabulary_of
from nla_ray.stages.work import Task, places_of, unit_id_of
from nla_ray.stages.write import planned_rows

UNIT_BYTES = 1 << 30
"""Vectors of one unit: they are held in memory, and cross the object store where pools differ."""


@dataclass
class Survey:
    """A corpus before it is decoded; `vectors` without controls, None where the target's answers decide.

    `tokens` are those that the target reads, `left_out` the others of the documents. `shapes` are those that
    chats were recorded in.
    """

    documents: int = 0
    unusable: int = 0
    truncated: int = 0
    windowed: int = 0
    tokens: int = 0
    left_out: int = 0
    vectors: int | None = 0
    shapes: dict[str, int] = field(default_factory=dict)
    sha256: str = ""

    def count(self, readings: Sequence[Reading]) -> None:
        """Add what the target reads, and what it does not."""
        self.truncated += sum(reading.truncated for reading in readings)
        self.windowed += sum(reading.windowed for reading in readings)
        self.tokens += sum(len(reading.token_ids) for reading in readings)
        self.left_out += sum(sum(reading.left_out) for reading in readings)


Doing = Callable[[str, int], None]
"""Told what is being done, and how many documents of it are done."""


def survey_corpus(
    config: DecodeConfig, recipe: str, target: Path | None, sidecar: Sidecar, doing: Doing
) -> tuple[Survey, tuple[Task, ...], Faults, tuple[Example, ...]]:
    """Read the corpus once: its units, with how many rows each leads to, and a few positions to look at.

    `recipe` is the digest of what rows follow from beside the documents.
    Raises InputError where not one document can be used.
    """
    tokenizer = tokenizer_of(config, target)
    reader = reader_of(
        config,
        tokenizer,
        d_model=sidecar.d_model,
        layer=sidecar.layer,
        vocabulary=vocabulary_of(config, target),
    )
    answered = config.continuation is not None
    survey = Survey(vectors=None if answered else 0)
    tasks: list[Task] = []
    examples: list[list[Example]] = []
    content, faults, shapes = hashlib.sha256(), Faults(), Counter[str]()
    for source, documents in units_of(config.corpus, listed=config.positions.column):
        content.update("".join(document.content_digest() for document in documents).encode())
        survey.documents += len(documents)
        shapes.update(document.chat.shape for document in documents if document.chat is not None)
        planned = None
        if answered and isinstance(reader, Reader):
            problems = [reader.refusal(document) for document in documents]
        else:
            readings = [reader.read(document) for document in documents]
            problems = [reading.problem for reading in readings]
            survey.count(readings)
            shown = filter(None, map(examples_of, readings))
            examples += islice(shown, DOCUMENTS - len(examples))
            places = len(places_of(readings))
            _require_room(places, sidecar.d_model)
            survey.vectors = (survey.vectors or 0) + places
            planned = planned_rows(config, readings)
        faults.add_unit(source, documents, problems)
        tasks.append(Task(unit_id_of(recipe, documents), source, len(documents), planned))
        doing("planning", survey.documents)
    faults.require_usable(config.corpus.paths)
    survey.unusable, survey.sha256, survey.shapes = faults.unusable, content.hexdigest(), dict(shapes)
    return survey, tuple(tasks), faults, tuple(chain.from_iterable(examples))


def _require_room(places: int, d_model: int) -> None:
    if places * d_model * 4 > UNIT_BYTES:
        raise ConfigError(
            f"corpus.unit_documents: a unit would have {places} vectors of {d_model} values, over "
            f"{UNIT_BYTES >> 30} GiB; take fewer documents a unit or fewer positions"
        )


def warnings_of(corpus: Corpus, faults: Faults) -> tuple[str, ...]:
    """What of a corpus is not read or not as it is written, the largest loss first."""
    found = find_files(corpus)
    if corpus.limit is None or faults.documents < corpus.limit:
        for source in found.sources.values():
            if source.label not in faults.files:
                found.leave(source.label, "it holds no documents")
    return (*faults.warnings(), *found.left_out())
