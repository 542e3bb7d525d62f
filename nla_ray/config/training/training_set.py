"""The configuration of a training set: which activations, how they are split, who explains them, where to."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, JsonValue, StringConstraints, model_validator

from nla_ray.config.base import Config, Name, Place
from nla_ray.config.decode import Engine, Reference
from nla_ray.config.models.chat import ChatConfig
from nla_ray.config.reading.corpus import Continuation, Corpus
from nla_ray.config.reading.positions import Positions
from nla_ray.config.reading.sample import Sample
from nla_ray.config.runner import Runner, Share

SPLITS = ("av_sft", "ar_sft", "rl", "held_out")
Split = Literal["av_sft", "ar_sft", "rl", "held_out"]

AV_SLOT, AR_SLOT = "{injection_char}", "{explanation}"


class Shares(Config):
    """Shares of the documents; copies of a document are all in one split. A share of 0: no such split."""

    av_sft: Share = 0.25
    """The verbalizer's warm start: vector to explanation."""
    ar_sft: Share = 0.25
    """The reconstructor's warm start: explanation to vector."""
    rl: Share = 0.45
    """Joint training; vectors alone, without explanations."""
    held_out: Share = 0.05
    """Never trained on: what fidelity is measured on."""

    @model_validator(mode="after")
    def _all_documents(self) -> Shares:
        total = sum(self.model_dump().values())
        if abs(total - 1) > 1e-6:
            raise ValueError(f"shares add up to {total:g}; all documents together are 1")
        return self


class Templates(Config):
    """The prompts around vector and explanation, written into the tables and kept by the trained pair."""

    av: Annotated[str, StringConstraints(pattern=r"\{injection_char\}")] = (
        "One token of this message is a vector from inside a language model: "
        "<concept>{injection_char}</concept>\n"
        "Say between <explanation> tags what the model has in mind there: two or three features, a paragraph "
        "each, the last one about the final token that it read."
    )
    """The verbalizer's message; the slot `{injection_char}` is where the vector goes."""
    ar: Annotated[str, StringConstraints(pattern=r"\{explanation\}")] = (
        "Summary of the following text: <text>{explanation}</text> <summary>"
    )
    """The reconstructor's text, read at its last token."""

    @model_validator(mode="after")
    def _one_slot_each(self) -> Templates:
        for name, slot in (("av", AV_SLOT), ("ar", AR_SLOT)):
            if getattr(self, name).count(slot) != 1:
                raise ValueError(f"{name}: the slot {slot} belongs into the template exactly once")
        return self


class Demo(Config):
    """The truth that documents of the demo world carry in their column `truth`; costs nothing."""

    kind: Literal["demo"]
    brief: bool = False
    """Leave out some of what is plain, as the warm start of the shipped pair does."""


class Column(Config):
    """Explanations that the data has already: of a vector its own, of a document one for all."""

    kind: Literal["column"]
    column: Name = "api_explanation"
    """`api_explanation`, `response` of av_sft files, `prompt` of ar_sft files, or any other with text.

    Tags of explanations are taken off, and so is `templates.ar`.
    """


class Asking(Config):
    """How a language model is asked for an explanation."""

    instruction: Place | None = None
    """File, or object of S3, with the instruction that it is given; null: nla_ray's own."""
    answer_tokens: Annotated[int, Field(ge=16)] = 300
    """The longest answer; a longer one has no closing tag and is dropped."""
    temperature: Annotated[float, Field(ge=0)] = 0.0
    """0 is greedy."""
    max_chars: Annotated[int, Field(ge=100)] = 8000
    """Of a longer text only so many last characters are shown."""


class Endpoint(ChatConfig, Asking):
    """Any chat endpoint of the OpenAI kind; every answer is kept as it comes."""

    without_effect: ClassVar[frozenset[str]] = ChatConfig.without_effect | {
        "instruction", "max_requests", "max_tokens",
    }  # fmt: skip

    kind: Literal["endpoint"]
    max_requests: Annotated[int, Field(ge=1)]
    """The budget: at most so many requests for this set, repeated ones and earlier attempts included."""
    body: dict[str, JsonValue] = Field(default_factory=dict)
    """Further fields of the request; null leaves one out, such as `temperature` where it is not allowed."""
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    """The budget: no request once so many tokens were read and written, as the endpoint counts them."""


class Local(Asking):
    """A causal language model of Hugging Face's with a chat template; runs where `runner` says."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"instruction", "batch"})

    kind: Literal["local"]
    model: Reference
    """The model that explains, by path or hub id."""
    batch: Annotated[int, Field(ge=1)] = 16
    """Answers that are generated together."""


Provider = Annotated[Demo | Column | Endpoint | Local, Field(discriminator="kind")]


class TrainingSetConfig(Config):
    """From a corpus to the four tables that a pair is trained with and measured on."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"output", "overwrites", "answers", "runner"})

    output: Name
    """A folder or `s3://bucket/prefix` for one training set: a folder per split, `manifest.json`, `work/`."""
    overwrites: bool = False
    """Accept an output that cannot refuse to overwrite; two drivers at once may then mix their rows."""
    answers: Name | None = None
    """Where paid answers are kept, a folder or `s3://`; null: `work` of the output.

    Training sets that share it share answers: what was asked before is not asked again.
    """
    target: Reference | None = None
    """The model whose activations these are; only a corpus of vectors can do without."""
    layer: Annotated[int, Field(ge=0)]
    """K: the output of this block is what the pair will read."""
    corpus: Corpus
    """Documents, or activations that were extracted before (`vectors`), such as published files."""
    positions_per_doc: Annotated[int, Field(ge=1)] = 10
    """So many positions of each document, drawn by seed and document id; vectors are all taken."""
    min_position: Annotated[int, Field(ge=0)] = 50
    """The first position that may be drawn; the first tokens of a text say little."""
    roles: tuple[Name, ...] = ()
    """Only tokens with these labels: roles of messages, `thinking` and so on; plain text has none."""
    shares: Shares = Shares()
    near_duplicates: Annotated[float, Field(gt=0, le=1)] | None = 0.8
    """Documents that share so much of their five-word sequences (Jaccard, estimated) are one for the split.

    null: only equal texts are.
    """
    provider: Provider | None = None
    """Who explains the activations of av_sft, ar_sft and held_out; null: nobody, for vectors alone."""
    templates: Templates = Templates()
    engine: Engine = Engine()
    """Device and type of the target, and of a `local` provider."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of positions, split and explanations."""
    runner: Runner = Runner()
    """Where the target and a `local` provider run; one pool of actors."""

    @model_validator(mode="before")
    @classmethod
    def _whole_texts(cls, values: object) -> object:
        for key in ("redact", "store_text", "text_window"):
            if isinstance(values, dict) and key in values:
                raise ValueError(
                    f"{key}: a training set keeps prompts and explanations whole, for a pair learns from "
                    "them; hide what must not be stored in the documents of the corpus, and name those"
                )
        return values

    @model_validator(mode="after")
    def _fits_together(self) -> TrainingSetConfig:
        vectors = self.corpus.vectors is not None
        if self.target is None and not vectors:
            raise ValueError("target: name the model that is read; only corpus.vectors do without")
        if self.provider is None and (self.shares.av_sft or self.shares.ar_sft):
            raise ValueError("provider: av_sft and ar_sft need explanations; name a provider, or shares of 0")
        if self.runner.pools is not None:
            raise ValueError("runner.pools: a training set has one pool; see runner.pool")
        return self

    @property
    def positions(self) -> Positions:
        """The sampler of the published data sets: some of the positions from the minimum on, none special."""
        return Positions(n=self.positions_per_doc, min_position=self.min_position, roles=self.roles)

    @property
    def sample(self) -> Sample | None:
        """All of the positions are taken."""
        return None

    @property
    def continuation(self) -> Continuation | None:
        """Documents are read as they are."""
        return None

    def reading(self) -> TrainingSetConfig:
        """The same with the columns that the provider needs carried along in `corpus.meta`."""
        match self.provider:
            case Demo():
                needed = "truth"
            case Column(column=column):
                needed = column
            case _:
                return self
        meta = tuple(dict.fromkeys((*self.corpus.meta, needed)))
        return self.model_copy(update={"corpus": self.corpus.model_copy(update={"meta": meta})})
