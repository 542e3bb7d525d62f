"""The configuration of a decode: which corpus, which positions, which models, which controls, where to."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from nla_ray.config.base import Config, Name, OrText, Spelled
from nla_ray.config.models.injection import InjectionText
from nla_ray.config.models.reference import ModelRef
from nla_ray.config.pairs.facts import PairFacts
from nla_ray.config.reading.corpus import Continuation, Corpus
from nla_ray.config.reading.positions import Choice, Positions
from nla_ray.config.reading.redaction import Redact, StoreText
from nla_ray.config.reading.sample import Sample
from nla_ray.config.runner import Runner, Share

Reference = Annotated[ModelRef, OrText()]


class PairParts(Config):
    """What belongs to a verbalizer."""

    ar: Reference | None = None
    """The reconstructor: the text back to a vector. Without it there is no fidelity."""
    injection: InjectionText | None = None
    """How vectors enter the verbalizer, KIND@SITE=SCALE such as `replace@embedding=150`, `add@input:2=raw` or
    `add_matched@output:1`, where its sidecar does not tell."""
    pair: PairFacts | None = Field(default=None, exclude_if=lambda pair: pair is None)
    """What else the files of the pair do not tell."""


class Models(PairParts):
    """The three models; each is `ID_OR_PATH[@REVISION][#SUBFOLDER]` or its parts by name."""

    target: Reference | None = None
    """The model that is read; only a corpus of vectors can do without."""
    av: Reference
    """The verbalizer: a vector to text."""


class Controls(Config):
    """Rows whose injected vector is not the position's own, as shares of the positions.

    Their texts are scored against the position's own vector, so a sound pair scores at chance on them.
    """

    shuffled: Share = 0.1
    """The vector of another document."""
    random: Share = 0.1
    """A Gaussian vector of the same norm."""
    mean: Share = 0.0
    """The mean vector of the documents that are worked on together."""
    none: Share = 0.0
    """Nothing is injected: the marker keeps its own embedding."""


class Sampling(Config):
    """How answers are drawn."""

    samples: Annotated[int, Field(ge=1, le=32_767)] = 1
    """Answers per vector."""
    temperature: Annotated[float, Field(ge=0)] = 1.0
    """0 is greedy."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Keep the most likely tokens up to this mass."""
    max_new_tokens: Annotated[int, Field(ge=1)] = 150
    """An answer that reaches it has the outcome `length`."""


class Engine(Config):
    """What runs the models, and on what."""

    name: Literal["transformers"] = "transformers"
    """The verbalizer's engine."""
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    """`auto`: bfloat16 on CUDA, float32 elsewhere."""
    device: Annotated[str, Spelled(r"^(auto|cpu|cuda(:\d+)?)$", "`auto`, `cpu`, `cuda` or `cuda:N`")] = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:N`; `auto`: CUDA where there is one."""
    slots: Annotated[int, Field(ge=1)] = 64
    """Answers that are generated at once; 512 fills a large GPU."""
    batch_tokens: Annotated[int, Field(ge=1)] = 4096
    """Tokens of one forward pass of the target and of the reconstructor, padding included."""
    ranks: Annotated[int, Field(ge=1, exclude_if=lambda ranks: ranks == 1)] = 1
    """Processes of a worker that share each model, a GPU each (tensor parallel), for what one cannot hold; it
    divides the models' heads. Under Ray the actor's pool needs as many `gpus`."""


class Baseline(Config):
    """The denominator of `fve_nrm`, stated with what it was measured on."""

    value: Annotated[float, Field(gt=0)]
    """Var(v_nrm) over the reference set; 0.7335 for the training set of the released Qwen2.5-7B pair."""
    reference: Name
    """What the reference set is."""
    n: Annotated[int, Field(ge=1)] | None = None
    """Vectors in the reference set, where known."""


class LayerPair(PairParts):
    """A pair that reads one layer of the target."""

    layer: Annotated[int, Field(ge=0)] | None = None
    """K, checked against the verbalizer's sidecar, which says it otherwise."""
    av: Reference
    """The verbalizer: a vector to text."""
    baseline: Baseline | None = None
    """Without it: the one in the reconstructor's sidecar, else the variance of the run's own vectors."""


class LayeredModels(PairParts):
    """The target and its pair, or a pair for each of several layers; written as in `Models`."""

    target: Reference | None = None
    """The model that is read; only a corpus of vectors can do without."""
    av: Reference | None = None
    """The verbalizer: a vector to text."""
    layers: tuple[LayerPair, ...] = ()
    """A pair for each layer, in place of `av` and what belongs to it: the target reads each document once for
    all of them, up to the deepest, and each has a run of its own."""

    @model_validator(mode="after")
    def _one_or_layers(self) -> LayeredModels:
        alone = [name for name in ("av", *PairParts.model_fields) if getattr(self, name) is not None]
        if self.layers and alone:
            raise ValueError(f"each of layers says its own {alone[0]}; leave it out beside them")
        if not self.layers and self.av is None:
            raise ValueError("name the verbalizer (av), or a pair for each layer (layers)")
        said = [one.layer for one in self.layers if one.layer is not None]
        twice = next((one for one in said if said.count(one) > 1), None)
        if twice is not None:
            raise ValueError(f"layer {twice} stands twice in layers; a layer has one pair")
        return self


class DecodePolicy(Config):
    """What a decode does with any corpus and any models: what runs over many of them share."""

    overwrites: bool = False
    """Accept an output that cannot refuse to overwrite; two drivers at once may then mix their rows."""
    continuation: Continuation | None = None
    """Without it documents are read as they are."""
    positions: Choice = Positions()
    """By keys, or as one string such as `last:3` and `assistant:first:4`."""
    sample: Sample | None = None
    """A budget of vectors, shared out among kinds of positions; without it all that `positions` chooses."""
    controls: Controls = Controls()
    sampling: Sampling = Sampling()
    engine: Engine = Engine()
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of positions, controls and sampling."""
    keep: tuple[Literal["documents", "activations"], ...] = ("documents",)
    """Tables beside the explanations: what the target read; the vectors (4 d_model bytes a position)."""
    store_text: StoreText = "full"
    """What is stored of what the target read: all, windows around the explained tokens, or nothing of it.
    Explanations are stored whichever it is, and may repeat what was read."""
    text_window: Annotated[int, Field(ge=0)] = 200
    """Characters on both sides of an explained token that `window` keeps."""
    redact: Redact | None = None
    """What is hidden in prompts, metadata, explanations and reasons before anything is stored."""
    prove: bool = True
    """Before anything is made, decode 32 vectors of built-in texts: a pair that does not read the target is
    refused, and an injection that nothing tells is found or refused. Off: the run says it is not proven."""
    runner: Runner = Runner()
    max_failed_fraction: Share = 0.01
    """Share of the rows that may end in quarantine, for no worker could make them; more is exit code 6."""


class Decoding(DecodePolicy):
    """A decode of one corpus into one table of explanations."""

    without_effect: ClassVar[frozenset[str]] = frozenset(
        {"output", "overwrites", "prove", "runner", "max_failed_fraction"}
    )

    output: Name
    """Where the tables are: a folder or `s3://bucket/prefix`; other runs may be there too (`--add`)."""
    models: Models | LayeredModels
    corpus: Corpus
    baseline: Baseline | None = None
    """Without it: the one in the reconstructor's sidecar, else the variance of the run's own vectors."""


class DecodeConfig(Decoding):
    """A decode by one pair: one run."""

    models: Models

    @model_validator(mode="after")
    def _target_for_documents(self) -> DecodeConfig:
        if self.models.target is None and self.corpus.vectors is None:
            raise ValueError("models.target: name the model that is read; only corpus.vectors do without")
        if self.continuation is not None and self.corpus.vectors is not None:
            raise ValueError("continuation: vectors that were extracted before cannot be continued")
        if self.continuation is None and self.positions.part != "both":
            raise ValueError("positions.part: there is no response without continuation")
        if self.sample is not None and (self.continuation or self.corpus.vectors) is not None:
            raise ValueError("sample: what is read must be known; not with continuation or corpus.vectors")
        if self.corpus.window is not None and self.continuation is not None:
            raise ValueError("corpus.window: of a piece of a document there is no continuation")
        if self.corpus.window is not None and self.positions.choose == "column":
            raise ValueError("corpus.window: positions in a column are counted in the whole document")
        return self

    @property
    def target(self) -> ModelRef | None:
        """The model that is read."""
        return self.models.target


class DecodeFile(Decoding):
    """What a file asks for: a decode by one pair, or by a pair for each layer in one pass over the target."""

    models: LayeredModels

    @model_validator(mode="after")
    def _can_be_decoded(self) -> DecodeFile:
        several = len(self.models.layers) > 1
        if several and self.corpus.vectors is not None:
            raise ValueError(
                "models.layers: vectors that come with the corpus are of one layer; name one pair"
            )
        if several and (self.continuation is not None or self.engine.ranks > 1):
            raise ValueError(
                "models.layers: a model that answers (continuation) or is shared out (engine.ranks) is read "
                "anew for each pair; decode layer by layer, or a corpus that has the answers, with one rank"
            )
        if self.models.layers and self.baseline is not None:
            raise ValueError("baseline: it is of one pair; say it in models.layers")
        self.each()
        return self

    def each(self) -> tuple[DecodeConfig, ...]:
        """The decodes that are asked for, one for each pair."""
        shared = {name: getattr(self, name) for name in self.model_fields_set - {"models"}}
        models, pairs = self.models, self.models.layers or (self.models,)
        found = []
        for one in pairs:
            parts = {name: getattr(one, name) for name in ("av", *PairParts.model_fields)}
            own = {"baseline": one.baseline} if isinstance(one, LayerPair) else {}
            found.append(DecodeConfig(models=Models(target=models.target, **parts), **shared | own))
        return tuple(found)
