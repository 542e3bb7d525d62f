"""A corpus before it is decoded: its units, how many rows each leads to, what of it cannot be used."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from nla_ray.config.decode import DecodeConfig
from nla_ray.config.reading.corpus import Corpus
from nla_ray.config.reading.sample import Sample
from nla_ray.corpus.documents.faults import Faults
from nla_ray.corpus.documents.find import no_documents
from nla_ray.corpus.files.sources import Source, corpus_files, find_files
from nla_ray.errors import EngineError
from nla_ray.pipelines.decode.pieces.cache import Cache
from nla_ray.pipelines.decode.pieces.examples import DOCUMENTS, Example
from nla_ray.pipelines.decode.pieces.make import Surveyor
from nla_ray.pipelines.decode.pieces.piece import checked_content
from nla_ray.pipelines.decode.pieces.pile import Pile, Rows
from nla_ray.pipelines.decode.pieces.strata import Counts, Strata, added, counts_of, rates_of
from nla_ray.pipelines.decode.pieces.units import Units
from nla_ray.runtime.workers import Workers
from nla_ray.stages.units.work import Task
from nla_ray.store.places.files import stamp_of


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

    def count(self, rows: Rows) -> None:
        """Add documents, what the target reads of them, and what it does not."""
        columns = rows.columns
        self.documents += len(rows)
        self.truncated += sum(columns["truncated"])
        self.windowed += sum(columns["windowed"])
        self.tokens += sum(columns["tokens"])
        self.left_out += sum(columns["left_out"])
        if self.vectors is not None:
            self.vectors += sum(columns["places"])
        for shape, n in Counter(filter(None, columns["shape"])).items():
            self.shapes[shape] = self.shapes.get(shape, 0) + n


Doing = Callable[[str, int], None]
"""Told what is being done, and how many documents of it are done."""


@dataclass(frozen=True)
class Reads:
    """By whom a corpus is read, where what was read is kept, and who is told."""

    workers: Workers
    cache: Cache
    doing: Doing


def survey_corpus(
    config: DecodeConfig, recipe: str, surveyor: Surveyor, reads: Reads
) -> tuple[Survey, tuple[Task, ...], Faults, tuple[Example, ...]]:
    """What a corpus amounts to: its units, with how many rows each leads to, and positions to look at.

    Its files are read by workers, those that were read before not at all; here only their pieces are put
    together, in memory that grows with units. `recipe` is the units'. Raises InputError where not one
    document can be used.
    """
    answered = config.continuation is not None
    survey, faults, content = Survey(vectors=None if answered else 0), Faults(), hashlib.sha256()
    units, tasks = Units(config, recipe, d_model=surveyor.d_model), list[Task]()
    with Pile(config.corpus, reads.cache.folder) as pile:
        fill(pile, corpus_files(config.corpus), surveyor, reads)
        if not pile.documents:
            raise no_documents(config.corpus)
        for rows in pile.rows():
            content.update("".join(digest.hex() for digest in rows.columns["digest"]).encode())
            survey.count(rows)
            _count_faults(faults, rows)
            tasks += units.take(rows)
        tasks += units.end()
        examples = pile.examples(DOCUMENTS)
    faults.require_usable(config.corpus.paths)
    faults.require_meta(config.corpus.paths)
    survey.unusable, survey.sha256 = faults.unusable, content.hexdigest()
    return survey, tuple(tasks), faults, tuple(examples)


def fill(pile: Pile, sources: Sequence[Source], surveyor: Surveyor, reads: Reads) -> None:
    """Put the pieces of corpus files on the pile until it is full; what is made goes to the cache too."""
    if not reads.workers.elsewhere:
        surveyor = replace(surveyor, tick=lambda n: reads.doing("planning", pile.documents + n))
    for name, content in contents_of(surveyor, sources, reads):
        piece = pile.add(content)
        if name is not None:
            reads.cache.made(name, piece.path)
        reads.doing("planning", pile.documents)
        if pile.full:
            break


def sampled(config: DecodeConfig, surveyor: Surveyor, reads: Reads) -> tuple[Sample | None, dict[str, int]]:
    """The sample of a configuration with its rates settled, and how many positions each stratum has."""
    how, n, every = config.sample, 0, Counts()
    if how is None or how.vectors is None:
        return how, {}
    if not reads.workers.elsewhere:
        surveyor = replace(surveyor, tick=lambda more: reads.doing("counting strata", n + more))
    found = contents_of(Strata(surveyor, how), corpus_files(config.corpus), reads)
    for number, (name, content) in enumerate(found):
        documents, counts = counts_of(content)
        n, every = n + documents, added([every, counts])
        if name is not None:
            path = reads.cache.folder / f"strata-{number}"
            path.write_bytes(content)
            reads.cache.made(name, path)
        reads.doing("counting strata", n)
        if config.corpus.limit is not None and n >= config.corpus.limit:
            break
    rates = rates_of(every, how.vectors)
    there = {stratum: counts.total() for stratum, counts in sorted(every.items())}
    return how.model_copy(update={"rates": rates}), there


def contents_of(
    job: Surveyor | Strata, sources: Sequence[Source], reads: Reads
) -> Iterator[tuple[str | None, bytes]]:
    """What is known of each file, in order: from the cache, all else made by workers, with its name."""
    cache, kept = reads.cache, list[str | None]([None] * len(sources))
    if cache.store is not None and cache.keys:
        names = cache.store.map(lambda one: job.name(replace(one, stamp=stamp_of(one.place))), sources)
        kept = [name if cache.may_have(name) else None for name in names]
    made = reads.workers.map(job, [one for one, name in zip(sources, kept, strict=True) if name is None])
    for source, name in zip(sources, kept, strict=True):
        content = None if name is None else cache.get(name)
        if content is not None:
            yield None, content
            continue
        new = next(made) if name is None else next(reads.workers.map(job, [source]))
        content = checked_content(new.data)
        if content is None:
            raise EngineError(f"{source.label}: what a worker read of it was damaged on its way; run again")
        yield new.name, content


def _count_faults(faults: Faults, rows: Rows) -> None:
    columns = rows.columns
    faults.add_documents(rows.source.label, len(rows))
    for noted in filter(None, columns["noted"]):
        faults.add_notes(noted)
    for at, problem in enumerate(columns["problem"]):
        if problem is None:
            faults.add_lacking(columns["lacking"][at])
        else:
            place = rows.source.at(columns["number"][at])
            faults.add_problem(place, problem.decode(errors="surrogatepass"), repeated=at in rows.twice)


def warnings_of(corpus: Corpus, faults: Faults) -> tuple[str, ...]:
    """What of a corpus is not read or not as it is written, the largest loss first."""
    found = find_files(corpus)
    if corpus.limit is None or faults.documents < corpus.limit:
        for source in found.sources.values():
            if source.label not in faults.files:
                found.leave(source.label, "it holds no documents")
    return (*faults.warnings(), *found.left_out())
