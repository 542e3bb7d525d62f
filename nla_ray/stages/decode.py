"""The decode of one unit: documents in, rows of explanations out; target, AV and AR opened once."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from transformers import PreTrainedTokenizerBase

from nla_ray.config.decode import DecodeConfig, Engine
from nla_ray.errors import ConfigError, InputError
from nla_ray.ids import digest, sampling_key
from nla_ray.nla.backbone import DTYPES
from nla_ray.nla.continuation import Continuer
from nla_ray.nla.engines.slots import SlotLayout
from nla_ray.nla.engines.transformers import TransformersVerbalizer
from nla_ray.nla.extraction import Extractor
from nla_ray.nla.fidelity import Directions, cos
from nla_ray.nla.outcomes import Explanation, judge, position_flags
from nla_ray.nla.prompt import load_tokenizer
from nla_ray.nla.reconstructor import Reconstructor
from nla_ray.nla.verbalizer import Sampling
from nla_ray.stages.controls import Mixer, Place, Query
from nla_ray.stages.documents import Document
from nla_ray.stages.positions import UNKNOWN, Answer, Reader, Reading, VectorReader
from nla_ray.stages.rows import Identity, Read, Row, Score, explained_row, unread_row
from nla_ray.tables import EXPLANATIONS, table_of


@dataclass(frozen=True)
class Checkpoints:
    """Local directories of the three models."""

    target: Path | None
    av: Path
    ar: Path | None


@dataclass
class Tally:
    """What a stage did so far: directions seen, seconds per step, documents cut at `corpus.max_tokens`."""

    directions: Directions
    seconds: dict[str, float] = field(default_factory=dict)
    truncated: int = 0

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Add the time of the block to a step."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[step] = self.seconds.get(step, 0.0) + time.perf_counter() - start


class DecodeStage:
    """Opens the models; a call turns one unit into a table of explanations, `fve_nrm` not yet filled in.

    The table depends on the unit and the configuration alone, not on other units or their order.
    """

    def __init__(self, config: DecodeConfig, checkpoints: Checkpoints, identity: Identity) -> None:
        self._config, self._identity = config, identity
        models, engine = config.models, config.engine
        device, dtype = device_of(engine)
        tokens = engine.batch_tokens
        self._tokenizer, self._extractor = None, None
        if checkpoints.target is not None and models.target is not None:
            remote = models.target.trust_remote_code
            self._tokenizer = load_tokenizer(checkpoints.target, trust_remote_code=remote)
            if config.corpus.vectors is None:
                self._extractor = Extractor(
                    checkpoints.target,
                    [identity.layer],
                    dtype=dtype,
                    device=device,
                    batch_tokens=tokens,
                    trust_remote_code=remote,
                )
        self._verbalizer = TransformersVerbalizer(
            checkpoints.av,
            dtype=dtype,
            device=device,
            layout=SlotLayout(engine.slots, engine.cohort),
            template_from=checkpoints.target,
            injection_scale=models.injection_scale,
            trust_remote_code=models.av.trust_remote_code,
        )
        self._reconstructor: Reconstructor | None = None
        if checkpoints.ar is not None and models.ar is not None:
            self._reconstructor = Reconstructor(
                checkpoints.ar,
                dtype=dtype,
                device=device,
                batch_tokens=tokens,
                trust_remote_code=models.ar.trust_remote_code,
            )
        d_model = self._verbalizer.d_model
        answer = answer_of(config, checkpoints)
        self._reader = reader_of(
            config, self._tokenizer, d_model=d_model, layer=identity.layer, answer=answer
        )
        self.tally = Tally(Directions(d_model))

    def __call__(self, documents: Sequence[Document]) -> pa.Table:
        """Rows of one unit: every answer, and one row for each document that could not be read."""
        unit_id = unit_id_of(self._identity.fingerprint, documents)
        with self.tally.timed("read"):
            readings = [self._reader.read(document) for document in documents]
        self.tally.truncated += sum(reading.truncated for reading in readings)
        usable = [reading for reading in readings if reading.problem is None]
        vectors = self._extract(usable)
        self.tally.directions.add(vectors)
        places = places_of(usable)
        queries = list(Mixer(places, vectors, self._config.controls, self._config.seed).queries())
        said = self._verbalize(queries)
        scores = self._score(queries, said, vectors)
        reads = self._reads(usable, vectors)
        samples = self._config.sampling.samples
        rows: list[Row] = [unread_row(self._identity, unit_id, one) for one in readings if one.problem]
        for index, (answer, score) in enumerate(zip(said, scores, strict=True)):
            query, sample = queries[index // samples], index % samples
            read = reads[query.place.index]
            rows.append(explained_row(self._identity, unit_id, read, query, answer, sample, score))
        return table_of(rows, EXPLANATIONS)

    def _extract(self, readings: Sequence[Reading]) -> np.ndarray:
        """Vectors [n, d] of all positions of the unit, in order."""
        if self._extractor is None:
            given = [np.frombuffer(one.document.vector or b"", "<f4") for one in readings]
            return np.stack(given) if given else np.empty((0, self._verbalizer.d_model), np.float32)
        with self.tally.timed("extract"):
            found = self._extractor.extract(
                [reading.token_ids for reading in readings], [reading.positions for reading in readings]
            )
        return np.concatenate(
            [np.empty((0, self._extractor.d_model), np.float32), *(one[:, 0] for one in found)]
        )

    def _verbalize(self, queries: Sequence[Query]) -> list[Explanation]:
        """The judged answers, query by query and within one sample by sample."""
        if not queries:
            return []
        drawn = self._config.sampling
        sampling = Sampling(drawn.temperature, drawn.top_p, drawn.max_new_tokens, self._config.seed)
        with self.tally.timed("verbalize"):
            generations = self._verbalizer.generate(
                np.stack([query.vector for query in queries]),
                [query.row_id for query in queries],
                sampling,
                samples=drawn.samples,
                injected=[query.injected for query in queries],
            )
        return [judge(generation) for generation in generations]

    def _score(
        self, queries: Sequence[Query], said: Sequence[Explanation], vectors: np.ndarray
    ) -> list[Score | None]:
        """Fidelity of each answer to the vector of its own position; None without text, vector or AR."""
        texts = list(dict.fromkeys(answer.text for answer in said if answer.text))
        if self._reconstructor is None or not texts:
            return [None] * len(said)
        with self.tally.timed("reconstruct"):
            rebuilt = dict(zip(texts, self._reconstructor.reconstruct(texts), strict=True))
        samples = self._config.sampling.samples
        own = [vectors[queries[index // samples].place.index] for index in range(len(said))]
        return [
            score_of(vector, rebuilt[answer.text]) if answer.text else None
            for vector, answer in zip(own, said, strict=True)
        ]

    def _reads(self, readings: Sequence[Reading], vectors: np.ndarray) -> list[Read]:
        """What every position is, in the order of the vectors."""
        with np.errstate(over="ignore", invalid="ignore"):
            norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
        finite = norms[np.isfinite(norms)]
        typical = float(np.median(finite)) if len(finite) else None
        where = [(reading, position) for reading in readings for position in reading.positions]
        return [
            Read(
                reading,
                self._token(reading, position),
                float(norm),
                flags_of(reading, position, float(norm), self._reader.special_ids, typical),
            )
            for (reading, position), norm in zip(where, norms, strict=True)
        ]

    def _token(self, reading: Reading, position: int) -> str | None:
        if self._tokenizer is None or not reading.token_ids:
            return None
        return str(self._tokenizer.decode([reading.token_ids[position]]))


def flags_of(
    reading: Reading, position: int, norm: float, special: Collection[int], typical: float | None
) -> tuple[str, ...]:
    """Flags of a position; what is not known of it raises none."""
    token = reading.token_ids[position] if reading.token_ids else -1
    at = sys.maxsize if position == UNKNOWN else position
    flags = position_flags(at, token, norm, special_ids=special, typical_norm=typical)
    of_template = reading.roles is not None and reading.roles[position] is None
    return ("template_token", *flags) if of_template else flags


def answer_of(config: DecodeConfig, checkpoints: Checkpoints) -> Answer | None:
    """How the target answers documents; None where it is not asked to. Loads the whole target."""
    if config.continuation is None or checkpoints.target is None or config.models.target is None:
        return None
    device, dtype = device_of(config.engine)
    remote, drawn, seed = config.models.target.trust_remote_code, config.continuation, config.seed
    continuer = Continuer(checkpoints.target, dtype=dtype, device=device, trust_remote_code=remote)
    sampling = Sampling(drawn.temperature, drawn.top_p, drawn.max_new_tokens, seed)

    def answer(doc_id: str, prompt: Sequence[int]) -> Sequence[int]:
        key = sampling_key(seed, digest("continuation", doc_id)[:32], 0)
        return continuer.generate(prompt, key, sampling)

    return answer


def reader_of(
    config: DecodeConfig,
    tokenizer: PreTrainedTokenizerBase | None,
    *,
    d_model: int,
    layer: int,
    answer: Answer | None = None,
) -> Reader | VectorReader:
    """The reader that a configuration asks for.

    Raises InputError where the corpus has chats and the target no chat template.
    """
    if tokenizer is None or config.corpus.vectors is not None:
        return VectorReader(tokenizer, d_model=d_model, layer=layer)
    if config.corpus.messages is not None and tokenizer.chat_template is None:
        raise InputError(
            f"{config.models.target}: the target has no chat template, so corpus.messages "
            f"({config.corpus.messages!r}) cannot be rendered; name a column with plain text in corpus.text"
        )
    tokens = config.corpus.max_tokens
    return Reader(tokenizer, config.positions, seed=config.seed, max_tokens=tokens, answer=answer)


def places_of(readings: Sequence[Reading]) -> list[Place]:
    """Every chosen position of the readings, numbered in order."""
    where = [(reading.document.doc_id, position) for reading in readings for position in reading.positions]
    return [Place(doc_id, position, index) for index, (doc_id, position) in enumerate(where)]


def unit_id_of(fingerprint: str, documents: Sequence[Document]) -> str:
    """Hash of the recipe and of the documents' content (32 hex characters)."""
    return digest("unit", fingerprint, *(document.content_digest() for document in documents))[:32]


def score_of(vector: np.ndarray, rebuilt: np.ndarray) -> Score | None:
    """Fidelity of one reconstruction [d]; None for a vector without a direction."""
    found = float(cos(vector, rebuilt))
    return None if np.isnan(found) else Score(found, 2.0 * (1.0 - found))


def device_of(engine: Engine) -> tuple[torch.device, torch.dtype]:
    """Device and type of the models; `auto` is bfloat16 on CUDA where there is one, else float32 on the CPU.

    Raises ConfigError for a CUDA device that is not there.
    """
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    name = ("cuda" if there else "cpu") if engine.device == "auto" else engine.device
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= there:
        raise ConfigError(f"engine.device: {name} is not there: {there} CUDA devices; use auto or cpu")
    kind = "bfloat16" if device.type == "cuda" else "float32"
    return device, DTYPES[kind if engine.dtype == "auto" else engine.dtype]
