"""About how large a training set will be and what its explanations will cost, from some of its documents."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import islice

from nla_ray.config.training.training_set import Asking, Endpoint
from nla_ray.corpus.documents.find import read_documents
from nla_ray.pipelines.training_set.planning import EXPLAINED, Ready
from nla_ray.providers.asking import instruction_of
from nla_ray.stages.extract import reader_of, tokenizer_of, vocabulary_of
from nla_ray.stages.training_set.base_table import SHOWN_PROBLEMS, text_until
from nla_ray.store.places.objects import Store
from nla_ray.store.runs.units import done_units

SAMPLE = 200
"""Documents that are looked at, from the first."""
CHARS_PER_TOKEN, ANSWER_TOKENS, ROW_BYTES = 4.0, 150, 600
COPIES = 2
"""Vectors are kept in `work` and in the tables."""


@dataclass(frozen=True)
class Estimate:
    """Rows and bytes of the set; requests and tokens of its explanations, None where nobody is asked.

    `explained_units` of `units` are there already. `problems` are the most frequent reasons why documents of
    the sample are `unusable`.
    """

    documents: int
    unusable: int
    problems: tuple[str, ...]
    vectors: int
    bytes: int
    explanations: int
    requests: int | None
    tokens: int | None
    units: int
    explained_units: int

    def over(self, provider: object) -> str | None:
        """Which budget will not do, in words."""
        if not isinstance(provider, Endpoint) or self.requests is None or self.tokens is None:
            return None
        if self.requests > provider.max_requests:
            return f"provider.max_requests is {provider.max_requests}"
        if provider.max_tokens is not None and self.tokens > provider.max_tokens:
            return f"provider.max_tokens is {provider.max_tokens}"
        return None


def estimate(ready: Ready, work: Store) -> Estimate:
    """An estimate from the first documents, which are read for it; nothing is asked, no weight is loaded."""
    config, survey = ready.config, ready.survey
    reader = reader_of(
        config,
        tokenizer_of(config, ready.target),
        d_model=ready.d_model,
        layer=config.layer,
        vocabulary=vocabulary_of(config, ready.target),
    )
    readings = [reader.read(document) for document in islice(read_documents(config.corpus), SAMPLE)]
    usable = [reading for reading in readings if reading.problem is None]
    problems = Counter(reading.problem for reading in readings if reading.problem is not None)
    lost = round(problems.total() / max(1, len(readings)) * survey.documents)
    texts = [text_until(reading, at) or "" for reading in usable for at in reading.positions]
    vectors = round(len(texts) / max(1, len(readings)) * survey.documents)
    shares = config.shares
    explained = round(vectors * (shares.av_sft + shares.ar_sft + shares.held_out)) if config.provider else 0
    requests = tokens = None
    if isinstance(config.provider, Asking):
        asked = config.provider
        shown = sum(min(len(text), asked.max_chars) for text in texts) / max(1, len(texts))
        each = (len(instruction_of(asked)) + shown) / CHARS_PER_TOKEN + min(
            ANSWER_TOKENS, asked.answer_tokens
        )
        requests, tokens = explained, round(explained * each)
    return Estimate(
        documents=survey.documents,
        unusable=max(survey.unusable, lost),
        problems=tuple(f"{count} x {problem}" for problem, count in problems.most_common(SHOWN_PROBLEMS)),
        vectors=vectors,
        bytes=vectors * (ready.d_model * 4 + ROW_BYTES) * COPIES,
        explanations=explained,
        requests=requests,
        tokens=tokens,
        units=len(ready.tasks),
        explained_units=len(done_units(work, ready.ref(EXPLAINED))),
    )


def require_room(found: Estimate, work: Store) -> None:
    """Raise InputError where the set will hardly fit."""
    if not found.explained_units:
        work.require_room(found.bytes)
