"""The configuration of a sweep: many models over many corpora, week after week, with one policy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, ClassVar

from pydantic import Field, field_validator, model_validator

from nla_ray.config.audit import AuditPolicy, Marked
from nla_ray.config.base import Config, EnvName, Name, Spelled
from nla_ray.config.decode import Baseline, DecodeConfig, DecodePolicy, Models, Reference
from nla_ray.config.models.injection import InjectionText
from nla_ray.config.pairs.facts import PairFacts
from nla_ray.config.reading.corpus import Corpus

Label = Annotated[
    str,
    Spelled(
        r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$",
        "letters, digits, `.`, `_` and `-`, at most 64 and none of `.-` first",
    ),
]
"""A name that is a piece of a key: letters, digits, `.`, `_` and `-`."""

WEEK, MODEL = "{week}", "{model}"
_ADAPTERS = frozenset({"adapter", "adapters", "lora", "peft"})
_PLACEHOLDER = re.compile(r"\{[^{}]*\}|[{}]")


class Target(Config):
    """A model that is read, and the pair that reads it; a fine-tune may have those of its base."""

    name: Label
    target: Reference
    """The model, `ID_OR_PATH[@REVISION][#SUBFOLDER]`."""
    base: Label | None = None
    """Name of the target that it was made from: it is compared with that, and has its pair if none is said.
    """
    av: Reference | None = None
    """The verbalizer; without it that of the base."""
    ar: Reference | None = None
    """The reconstructor; without it that of the base, if the verbalizer is the base's too."""
    layer: Annotated[int, Field(ge=0)] | None = None
    """K, checked against the verbalizer's sidecar, which says it otherwise."""
    injection: InjectionText | None = None
    """How vectors enter the verbalizer, KIND@SITE=SCALE such as `replace@embedding=150`, `add@input:2=raw` or
    `add_matched@output:1`, where its sidecar does not tell."""
    pair: PairFacts | None = None
    """What else the files of the pair do not tell."""
    baseline: Baseline | None = None
    """The denominator of `fve_nrm`; without it the one in the reconstructor's sidecar."""

    @model_validator(mode="before")
    @classmethod
    def _no_adapter(cls, values: object) -> object:
        for key in _ADAPTERS & set(values if isinstance(values, dict) else ()):
            raise ValueError(
                f"{key}: an adapter (LoRA) is named as the target, with the model that it was trained over: "
                "target: ADAPTER on BASE"
            )
        return values


class SweepCorpus(Corpus):
    """Documents of every week; in `paths`, `{week}` stands for the ISO week, such as 2026-W48.

    `{model}` there stands for the name of the target, where each has documents of its own, such as its chats.
    """

    name: Label
    benign: Marked | Label | None = None
    """Benign documents: those of another corpus of this sweep by its name, or marked ones among these."""

    @field_validator("paths")
    @classmethod
    def _known_placeholders(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        for path in paths:
            if unknown := set(_PLACEHOLDER.findall(path)) - {WEEK, MODEL}:
                raise ValueError(
                    f"{path}: {sorted(unknown)[0]} means nothing here; {WEEK} is the ISO week, "
                    f"{MODEL} the target"
                )
        return paths

    @model_validator(mode="after")
    def _benign_are_others(self) -> SweepCorpus:
        if self.benign == self.name:
            raise ValueError(f"{self.name}: benign documents are those of another corpus, or marked ones")
        return self

    def of(self, week: str, model: str) -> Corpus:
        """The corpus of a week for a target."""
        values = self.model_dump(exclude={"name", "benign"}, exclude_unset=True)
        paths = [path.replace(WEEK, week).replace(MODEL, model) for path in self.paths]
        return Corpus.model_validate(values | {"paths": paths, "units": self.units})


class Compare(Config):
    """What the audit of a cell is compared with."""

    last: bool = True
    """The newest earlier week's run of the same cell."""
    base: bool = True
    """The base model's run over the same corpus."""


class Budget(Config):
    """What a week may cost; more is refused before anything is decoded, and ends a sweep under way."""

    vectors: Annotated[int, Field(ge=1)] | None = None
    """Vectors that are decoded, controls not counted."""
    gpu_hours: Annotated[float, Field(gt=0)] | None = None
    money: Annotated[float, Field(gt=0)] | None = None
    """Needs `price`."""
    price: Annotated[float, Field(gt=0)] | None = None
    """Of an hour of one GPU; of a worker without a GPU, of its hour."""
    currency: Name = "USD"

    @model_validator(mode="after")
    def _price_of_money(self) -> Budget:
        if self.money is not None and self.price is None:
            raise ValueError("money: say the price of a GPU-hour too (price)")
        return self

    def limited(self) -> bool:
        """Whether anything is limited."""
        return any(one is not None for one in (self.vectors, self.gpu_hours, self.money))


class Retention(Config):
    """What `nla-ray sweep gc` may remove."""

    weeks: Annotated[int, Field(ge=1)] | None = None
    """Superseded runs, so many weeks after newer runs took their cells; null: never."""
    abandoned_days: Annotated[int, Field(ge=1)] = 14
    """Runs that were begun and not finished, after so many days."""


class Notify(Config):
    """Who is told when a week is done. The address is a secret: only its place is said here."""

    url_env: EnvName
    """Name of the environment variable that holds the webhook's URL."""


class SweepConfig(DecodePolicy):
    """A weekly sweep: every target over every corpus, decoded, audited, compared and reported."""

    without_effect: ClassVar[frozenset[str]] = frozenset(
        {
            "root", "overwrites", "runner", "max_failed_fraction", "budget", "retention", "notify",
            "targets_at_once", "one_pass", "stalled_after_s",
        }
    )  # fmt: skip

    name: Label
    root: Name
    """Folder or `s3://bucket/prefix` that holds the tables and the state of the sweep."""
    targets: Annotated[tuple[Target, ...], Field(min_length=1)]
    corpora: Annotated[tuple[SweepCorpus, ...], Field(min_length=1)]
    leave_out: tuple[Name, ...] = ()
    """Pairs that are no cell, each as `TARGET/CORPUS`."""
    audit: AuditPolicy = AuditPolicy()
    compare: Compare = Compare()
    budget: Budget = Budget()
    retention: Retention = Retention()
    notify: Notify | None = None
    targets_at_once: Annotated[int, Field(ge=1)] = 1
    """Targets that are worked on at once, each with actors of its own, where the cluster has room.

    The cells of one target always share its actors, which load the models once; so do those of adapters
    over one base with one pair.
    """
    one_pass: bool = False
    """Targets that name one model with other pairs, such as a pair for each layer, share actors too: it reads
    each document once, up to the deepest layer, for all of them. An actor then holds all these pairs at once.
    """
    stalled_after_s: Annotated[float, Field(gt=0)] = 1800.0
    """A cell that is worked on and has finished no unit for so long is called stalled."""

    @model_validator(mode="after")
    def _belongs_together(self) -> SweepConfig:
        _require_once("targets", [one.name for one in self.targets])
        _require_once("corpora", [one.name for one in self.corpora])
        _require_known(
            "targets", "base", [one.base for one in self.targets], [one.name for one in self.targets]
        )
        names = [one.name for one in self.corpora]
        benign = [one.benign for one in self.corpora if isinstance(one.benign, str)]
        _require_known("corpora", "benign", benign, names)
        pairs = [f"{target.name}/{corpus.name}" for target in self.targets for corpus in self.corpora]
        _require_known("leave_out", "TARGET/CORPUS", self.leave_out, pairs)
        if not list(self.pairs()):
            raise ValueError("leave_out: leaves no cell")
        self._require_no_circle()
        for target, corpus in self.pairs():
            self.decoding(target, corpus, "2026-W01", "tables")
        if self.one_pass and (self.continuation is not None or self.engine.ranks > 1):
            raise ValueError(
                "one_pass: a model that answers (continuation) or is shared out (engine.ranks) is read anew "
                "for each pair; leave one_pass out, or decode a corpus that has the answers, with one rank"
            )
        if self.targets_at_once > 1 and self.runner.name == "local":
            raise ValueError(
                "targets_at_once: in one process there is one target at a time; use runner.name: ray"
            )
        return self

    def pairs(self) -> Iterator[tuple[Target, SweepCorpus]]:
        """The cells of every week: target by target, benign corpora before those that need them."""
        benign = {one.benign for one in self.corpora}
        corpora = sorted(self.corpora, key=lambda one: one.name not in benign)
        for target in self.targets:
            for corpus in corpora:
                if f"{target.name}/{corpus.name}" not in self.leave_out:
                    yield target, corpus

    def decoding(self, target: Target, corpus: SweepCorpus, week: str, output: str) -> DecodeConfig:
        """The decode of a cell into the tables at `output`."""
        shared = {name: getattr(self, name) for name in DecodePolicy.model_fields}
        if self.sample is not None:
            shared["sample"] = self.sample.model_copy(update={"key": self.sample.key.replace(WEEK, week)})
        return DecodeConfig(
            output=output,
            models=self.models(target),
            corpus=corpus.of(week, target.name),
            baseline=self._of_pair(target).baseline,
            **shared,
        )

    def models(self, target: Target) -> Models:
        """The target with its own pair, or the one of its base."""
        pair = self._of_pair(target)
        if pair.av is None:
            raise ValueError(f"targets: {target.name} has no av, and no base that has one")
        ar = target.ar or pair.ar
        return Models(target=target.target, av=pair.av, ar=ar, injection=pair.injection, pair=pair.pair)

    def layer_of(self, target: Target) -> int | None:
        """The layer that is said for a target or for the one whose pair it has."""
        return target.layer if target.layer is not None else self._of_pair(target).layer

    def _require_no_circle(self) -> None:
        base_of = {one.name: one.base for one in self.targets}
        for name in base_of:
            base, steps = base_of[name], 0
            while base is not None and base != name and steps < len(base_of):
                base, steps = base_of[base], steps + 1
            if base == name:
                raise ValueError(f"targets: {name} is its own base in the end")

    def _of_pair(self, target: Target) -> Target:
        """The target whose pair is used: the nearest base that names a verbalizer."""
        by_name = {one.name: one for one in self.targets}
        while target.av is None and target.base is not None:
            target = by_name[target.base]
        return target


def _require_once(key: str, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{key}: {twice[0]} stands twice; every name stands for one")


def _require_known(key: str, what: str, named: Iterable[str | None], known: Sequence[str]) -> None:
    for name in named:
        if name is not None and name not in known:
            raise ValueError(f"{key}: {what} {name!r} is not known; there are {', '.join(known)}")
