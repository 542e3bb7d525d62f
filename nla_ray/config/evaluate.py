"""The configuration of an evaluation: a pair, held-out activations, how many answers, controls and edits."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from nla_ray.config.base import Config, Name, Place
from nla_ray.config.decode import Baseline, Controls, DecodeConfig, Engine, Models, Sampling
from nla_ray.config.reading.corpus import Corpus
from nla_ray.config.reading.positions import Choice, Positions
from nla_ray.config.runner import Runner

EVERY_CONTROL = Controls(shuffled=0.25, random=0.25, mean=0.25, none=0.25)


class Planted(Config):
    """Something that a column of the corpus says of each document, and the words that name its values."""

    column: Name
    """The column with the value; documents whose value has no words are not asked about it."""
    words: Annotated[dict[Name, Annotated[tuple[Name, ...], Field(min_length=1)]], Field(min_length=2)]
    """By value: words or phrases, in any case, one of which in an explanation names the value.

    An explanation that names two values names none.
    """
    first_paragraph: bool = False
    """Look for them in the first paragraph of an explanation alone."""


class EvaluateConfig(Config):
    """A measurement of one pair on activations that it was not trained on."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"output", "tables", "runner"})

    output: Place
    """Folder or `s3://bucket/prefix` for evaluation.json and evaluation.html."""
    tables: Name | None = None
    """Where the decoded tables are kept, a folder or `s3://bucket/prefix`; null: `tables` under `output`."""
    models: Models
    """The reconstructor cannot be left out: without it there is no fidelity."""
    corpus: Corpus
    """Documents, or vectors, that no training of the pair has read."""
    positions: Choice = Positions(n=4)
    controls: Controls = EVERY_CONTROL
    """Shares of the positions; a pair is said to lie above controls only beside all four."""
    sampling: Sampling = Sampling(samples=4)
    """With one sample nothing is said about recurrence in samples."""
    engine: Engine = Engine()
    """Also of the pass over the edited texts, which runs in this process."""
    baseline: Baseline | None = None
    """Without it: the one in the reconstructor's sidecar, else the variance of the vectors themselves."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of positions, controls, sampling, edits and drawn comparisons."""
    truth: tuple[Planted, ...] = ()
    """What is true of documents by columns of the corpus, for recall and precision; without any, the truth
    of the demo world where documents have it."""
    edited_texts: Annotated[int, Field(ge=1)] = 1000
    """At most so many explanations are edited and read again, drawn by key; about 15 edits of each."""
    minimum_documents: Annotated[int, Field(ge=2)] = 30
    """With fewer documents, of the own vectors or of a control, there is too little evidence."""
    runner: Runner = Runner()

    @model_validator(mode="after")
    def _can_be_decoded(self) -> EvaluateConfig:
        if self.models.ar is None:
            raise ValueError("models.ar: name the reconstructor; without it there is no fidelity")
        columns = [one.column for one in self.truth]
        if twice := next((one for one in columns if columns.count(one) > 1), None):
            raise ValueError(f"truth: the column {twice!r} is named twice; put all its values into one entry")
        self.decoding()
        return self

    def decoding(self) -> DecodeConfig:
        """The decode that is measured. It keeps what was read and the vectors."""
        shared = ("models", "positions", "controls", "sampling", "engine", "baseline", "seed")
        meta = dict.fromkeys((*self.corpus.meta, *(one.column for one in self.truth)))
        return DecodeConfig(
            corpus=self.corpus.model_copy(update={"meta": tuple(meta)}),
            output=self.tables or f"{self.output.rstrip('/')}/tables",
            keep=("documents", "activations"),
            runner=self.runner,
            # What a pair does that reads nothing is measured, too.
            prove=False,
            **{name: getattr(self, name) for name in shared},
        )
