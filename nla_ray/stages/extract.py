"""The first stage: the documents of a unit are read, positions chosen, and their vectors extracted."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from transformers import PreTrainedTokenizerBase

from nla_ray.config.decode import Engine
from nla_ray.config.models.reference import ModelRef
from nla_ray.config.reading.corpus import Continuation, Corpus
from nla_ray.config.reading.positions import Positions
from nla_ray.config.reading.sample import Sample
from nla_ray.corpus.documents.document import Document
from nla_ray.corpus.documents.pieces import read_unit
from nla_ray.corpus.reading.reader import UNKNOWN, Answers, Reader, Reading, VectorReader
from nla_ray.errors import InputError
from nla_ray.ids import digest, sampling_key
from nla_ray.models import directory_of
from nla_ray.nla.extraction import Extractor
from nla_ray.nla.generation.continuation import Continuer
from nla_ray.nla.model.adapters.view import bottom_of
from nla_ray.nla.model.backbone import load_config, text_config
from nla_ray.nla.model.ranks import spread
from nla_ray.nla.outcomes import position_flags
from nla_ray.nla.prompt import load_tokenizer
from nla_ray.nla.reconstruction.fidelity import Directions
from nla_ray.nla.verbalizer import Sampling
from nla_ray.stages.device import device_of
from nla_ray.stages.one_pass import OnePass
from nla_ray.stages.rows import Identity, Read
from nla_ray.stages.stage import Stage
from nla_ray.stages.units.halves import in_halves
from nla_ray.stages.units.tally import Tally
from nla_ray.stages.units.work import Task, Work, unit_id_of, where
from nla_ray.tables import TEMPLATE


class Extracts(Protocol):
    """What a configuration says of what is read; without a target, vectors come with the corpus."""

    @property
    def target(self) -> ModelRef | None: ...

    @property
    def corpus(self) -> Corpus: ...

    @property
    def continuation(self) -> Continuation | None: ...

    @property
    def positions(self) -> Positions: ...

    @property
    def sample(self) -> Sample | None: ...

    @property
    def engine(self) -> Engine: ...

    @property
    def seed(self) -> int: ...


class ExtractStage(Stage):
    """From a task to its documents and their vectors [n, d], the output of block K at every position.

    `own_baseline` sums up directions, for a run that has no other denominator of `fve_nrm`.
    """

    name = "extract"

    def __init__(
        self,
        config: Extracts,
        identity: Identity,
        *,
        d_model: int,
        own_baseline: bool = False,
    ) -> None:
        self._config, self._identity = config, identity
        self._d_model, self._own_baseline = d_model, own_baseline

    def setup(self) -> None:
        """Load the target up to block K; for a corpus of vectors at most its tokenizer."""
        self.setup_ahead_of([])

    def setup_ahead_of(self, others: Sequence[ExtractStage]) -> None:
        """Load it up to the deepest layer of those that can be read in one pass; see Stage."""
        layers = {self._identity.layer, *(one._identity.layer for one in others if self._passes_with(one))}
        config, ref = self._config, self._config.target
        reads = ref is not None and config.corpus.vectors is None
        target = None if ref is None else directory_of(ref, weights=reads)
        self._tokenizer = tokenizer_of(config, target)
        continuer = None if target is None else continuer_of(config, target)
        self._answers = None if continuer is None else answers_of(config, continuer)
        self._open_reader(target)
        self._directory = target
        extractor = extractor_of(config, target, sorted(layers), continuer) if reads else None
        self._pass = None if extractor is None else OnePass(extractor)

    def setup_beside(self, other: ExtractStage) -> None:
        """See Stage."""
        ref = self._config.target
        if self._loads() != other._loads() or not self._within(other):
            self.setup()
        elif ref == other._config.target:
            self._tokenizer, self._answers = other._tokenizer, other._answers
            self._directory, self._pass = other._directory, other._pass
            self._open_reader(None if ref is None else directory_of(ref, weights=False))
        elif other._pass is not None and (target := self._over_the_same(other)) is not None:
            self._directory, self._tokenizer, self._answers = target, tokenizer_of(self._config, target), None
            self._open_reader(target)
            self._pass = other._pass.beside(target)
        else:
            self.setup()

    def _passes_with(self, other: ExtractStage) -> bool:
        """Whether one pass can give the layers of both."""
        return not self._alone and self._loads() == other._loads()

    @property
    def _alone(self) -> bool:
        """Whether the model is read by itself: one that answers, or that several ranks share."""
        return self._config.continuation is not None or self._config.engine.ranks > 1

    def _within(self, other: ExtractStage) -> bool:
        """Whether what another has loaded gives this layer."""
        return self._identity.layer in (
            (other._identity.layer,) if other._pass is None else other._pass.layers
        )

    def _over_the_same(self, other: ExtractStage) -> Path | None:
        """The directory of a target over the base of another's; None for one that is loaded by itself."""
        ref = self._config.target
        if ref is None or other._directory is None or self._alone:
            return None
        target = directory_of(ref)
        return target if bottom_of(target) == bottom_of(other._directory) else None

    def _loads(self) -> tuple[object, ...]:
        """What is loaded follows from this, the target and the layers alone."""
        one = self._config
        reads = one.corpus.vectors is None
        trusted = one.target is not None and one.target.trust_remote_code
        return one.engine, one.continuation, one.seed, reads, trusted

    def _open_reader(self, target: Path | None) -> None:
        self._reader = reader_of(
            self._config,
            self._tokenizer,
            d_model=self._d_model,
            layer=self._identity.layer,
            vocabulary=vocabulary_of(self._config, target),
            answers=self._answers,
        )

    def __call__(self, task: Task) -> Work:
        """Read and extract. Raises InputError where the corpus cannot be read as it was planned."""
        tally = Tally(directions=Directions(self._d_model) if self._own_baseline else None)
        with tally.timed("read"):
            documents = read_unit(
                task.source,
                self._config.corpus,
                listed=self._config.positions.column,
                planned=lambda found: unit_id_of(self._identity.recipe, found) == task.unit_id,
            )
            readings = self._readings(task, documents)
        with tally.timed("extract"):
            vectors = self._vectors(task, readings)
        if self._pass is not None and task.together is not None:
            tally.seconds["extract"] = task.share * self._pass.seconds
        self._count(tally, readings, vectors)
        tally.saw_worker()
        return Work(task, readings, vectors, self._reads(readings, vectors), tally)

    def _readings(self, task: Task, documents: Sequence[Document]) -> list[Reading]:
        """Of all documents; what the target would answer is not asked of one that is left out."""
        readings = [Reading(document) for document in documents]
        every = self._config.continuation is None
        wanted = [index for index in range(len(documents)) if every or task.wants(index)]
        found = self._reader.read_all([documents[index] for index in wanted])
        for index, reading in zip(wanted, found, strict=True):
            readings[index] = reading
        return readings

    def _vectors(self, task: Task, readings: Sequence[Reading]) -> np.ndarray:
        """Vectors [n, d] of all places in order; NaN for documents that are left out."""
        counts = [len(one.positions) if one.problem is None else 0 for one in readings]
        starts = np.concatenate([[0], np.cumsum(counts)])
        vectors = np.full((starts[-1], self._d_model), np.nan, np.float32)
        wanted = [index for index, count in enumerate(counts) if count and task.wants(index)]
        extracted = self._extracted(task, [readings[index] for index in wanted])
        for index, found in zip(wanted, extracted, strict=True):
            vectors[starts[index] : starts[index + 1]] = found
        return vectors

    def _extracted(self, task: Task, readings: Sequence[Reading]) -> list[np.ndarray]:
        if self._pass is None:
            return [np.frombuffer(one.document.vector or b"", "<f4")[None] for one in readings]
        return self._pass.vectors(self._identity.layer, readings, remember=task.together is not None)

    def _count(self, tally: Tally, readings: Sequence[Reading], vectors: np.ndarray) -> None:
        tally.documents = len(readings)
        tally.truncated = sum(reading.truncated for reading in readings)
        tally.windowed = sum(reading.windowed for reading in readings)
        tally.left_out = sum(sum(reading.left_out) for reading in readings)
        tally.tokens = sum(len(reading.token_ids) for reading in readings)
        if tally.directions is not None:
            tally.directions.add(vectors)

    def _reads(self, readings: Sequence[Reading], vectors: np.ndarray) -> list[Read]:
        """What every place is, in the order of the vectors."""
        with np.errstate(over="ignore", invalid="ignore"):
            norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
        places, special = list(where(readings)), self._reader.special_ids
        typical = typical_norms([document for document, _ in places], norms)
        return [
            Read(
                readings[document],
                document,
                self._token(readings[document], position),
                float(norm),
                flags_of(readings[document], position, float(norm), special, typical.get(document)),
            )
            for (document, position), norm in zip(places, norms, strict=True)
        ]

    def _token(self, reading: Reading, position: int) -> str | None:
        if self._tokenizer is None or not reading.token_ids:
            return None
        return str(self._tokenizer.decode([reading.token_ids[position]]))


def typical_norms(documents: Sequence[int], norms: np.ndarray) -> dict[int, float]:
    """Median norm of each document's own positions, where it has at least three of them."""
    found: dict[int, list[float]] = {}
    for document, norm in zip(documents, norms.tolist(), strict=True):
        if np.isfinite(norm):
            found.setdefault(document, []).append(norm)
    return {document: float(np.median(own)) for document, own in found.items() if len(own) >= 3}


def flags_of(
    reading: Reading, position: int, norm: float, special: Collection[int], typical: float | None
) -> tuple[str, ...]:
    """Flags of a position; what is not known of it raises none."""
    token = reading.token_ids[position] if reading.token_ids else -1
    at = sys.maxsize if position == UNKNOWN else position
    flags = position_flags(at, token, norm, special_ids=special, typical_norm=typical)
    of_template = reading.labels is not None and reading.labels[position] == TEMPLATE
    return (*reading.flags, *(("template_token",) if of_template else ()), *flags)


def tokenizer_of(config: Extracts, target: Path | None) -> PreTrainedTokenizerBase | None:
    """The target's tokenizer; None for a corpus of vectors without a target."""
    if target is None or config.target is None:
        return None
    return load_tokenizer(target, trust_remote_code=config.target.trust_remote_code)


def continuer_of(config: Extracts, target: Path) -> Continuer | None:
    """The whole target, where it is asked to answer documents."""
    if config.continuation is None or config.target is None:
        return None
    device, dtype = device_of(config.engine)
    remote = config.target.trust_remote_code
    return Continuer(target, dtype=dtype, device=device, trust_remote_code=remote)


def answers_of(config: Extracts, continuer: Continuer) -> Answers:
    """How it answers documents: each by a key of its own; halves of them where memory runs out."""
    drawn, seed = config.continuation or Continuation(), config.seed
    sampling = Sampling(drawn.temperature, drawn.top_p, drawn.max_new_tokens, seed)

    def answers(doc_ids: Sequence[str], prompts: Sequence[Sequence[int]]) -> Sequence[Sequence[int]]:
        keys = [sampling_key(seed, digest("continuation", doc_id)[:32], 0) for doc_id in doc_ids]

        def write(some: Sequence[tuple[Sequence[int], int]]) -> list[tuple[int, ...]]:
            return continuer.generate([one for one, _ in some], [key for _, key in some], sampling)

        return in_halves(write, list(zip(prompts, keys, strict=True)))

    return answers


def extractor_of(
    config: Extracts, target: Path | None, layers: Sequence[int], continuer: Continuer | None
) -> Extractor | None:
    """What reads the outputs of blocks: of the model that answers, where it is there already."""
    if target is None or config.target is None:
        return None
    at_once = config.engine.batch_tokens
    if continuer is not None:
        return Extractor.within(continuer.model, layers, target, batch_tokens=at_once)
    device, dtype = device_of(config.engine)
    remote = config.target.trust_remote_code
    return spread(
        config.engine.ranks,
        Extractor,
        target,
        layers,
        dtype=dtype,
        device=device,
        batch_tokens=at_once,
        trust_remote_code=remote,
    )


def reader_of(
    config: Extracts,
    tokenizer: PreTrainedTokenizerBase | None,
    *,
    d_model: int,
    layer: int,
    vocabulary: int | None = None,
    answers: Answers | None = None,
) -> Reader | VectorReader:
    """The reader that a configuration asks for.

    Raises InputError where the corpus has chats and the target no chat template.
    """
    if tokenizer is None or config.corpus.vectors is not None:
        return VectorReader(tokenizer, d_model=d_model, layer=layer)
    if config.corpus.messages is not None and tokenizer.chat_template is None:
        raise InputError(
            f"{config.target}: the target has no chat template, so corpus.messages "
            f"({config.corpus.messages!r}) cannot be rendered; name a column with plain text in corpus.text"
        )
    return Reader(
        tokenizer,
        config.positions,
        seed=config.seed,
        max_tokens=config.corpus.longest,
        window=config.corpus.window,
        chats=config.corpus.chat,
        vocabulary=vocabulary,
        answers=answers,
        sample=config.sample,
    )


def vocabulary_of(config: Extracts, target: Path | None) -> int | None:
    """How many tokens the target knows; a tokenizer may have more."""
    if target is None or config.target is None:
        return None
    remote = config.target.trust_remote_code
    return int(text_config(load_config(target, trust_remote_code=remote)).vocab_size)
