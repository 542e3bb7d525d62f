"""Detectors: what an audit looks for in explanations, as reviewed data in YAML packs."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from nla_ray.config.base import Config, Spelled
from nla_ray.config.detectors.condition import Term, parse
from nla_ray.config.detectors.levels import Level, Tier
from nla_ray.config.detectors.patterns import MOST_ALTERNATIVES, MOST_BYTES, Pattern, either, near, unfolded

Id = Annotated[str, Spelled(r"^[a-z][a-z0-9_]{0,63}$", "small letters, digits and _, a letter first")]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Patterns = tuple[Pattern, ...]

TOKEN_CLASSES = ("word", "number", "punctuation", "space", "special", "template")
TokenClass = Literal["word", "number", "punctuation", "space", "special", "template"]
VALIDATED = 50
"""Reviewed findings under which a detector's precision is not known."""


class Near(Config):
    """Two things said in one sentence, close to each other."""

    first: Annotated[Patterns, Field(min_length=1)]
    second: Annotated[Patterns, Field(min_length=1)]
    words: Annotated[int, Field(ge=0, le=20)] = 5
    """At most so many words between the two."""
    ordered: bool = False
    """`first` comes before `second`."""

    def expression(self) -> str:
        """Both, as one RE2 expression."""
        return near(self.first, self.second, self.words, ordered=self.ordered)


class Group(Config):
    """A group of patterns; it holds for a text when all of its parts do.

    Patterns are RE2 expressions over the explanation as NFKC, casefolded and without invisible characters,
    so they are written in lower case. A space stands for any white space.
    """

    any: Patterns = ()
    """One of these, or one of `near`."""
    near: tuple[Near, ...] = ()
    """One of these, or one of `any`."""
    all: Patterns = ()
    """Each of these, anywhere in the text."""
    none: Patterns = ()
    """Nothing of this, anywhere in the text."""
    whole_words: bool = True
    """A match begins and ends with a word (of a-z, 0-9 and `_`)."""

    @model_validator(mode="after")
    def _can_hold(self) -> Self:
        if not (self.any or self.near or self.all):
            raise ValueError("a group needs patterns under any, near or all")
        return self

    @model_validator(mode="after")
    def _within_limits(self) -> Self:
        for expression in (*self.positive(), either(self.none)):
            if len(expression.encode()) > MOST_BYTES:
                raise ValueError(f"its patterns make more than {MOST_BYTES} bytes; split the group")
        if max(len(self.any), len(self.none)) > MOST_ALTERNATIVES:
            raise ValueError(f"more than {MOST_ALTERNATIVES} patterns; split the group")
        return self

    def flat(self) -> Patterns:
        """Every pattern."""
        pairs = [pattern for one in self.near for pattern in (*one.first, *one.second)]
        return (*self.any, *pairs, *self.all, *self.none)

    def positive(self) -> list[str]:
        """One RE2 expression for each thing of which a match can be quoted."""
        plain = [either(self.any, whole_words=self.whole_words)] if self.any else []
        every = [either([one], whole_words=self.whole_words) for one in self.all]
        return [*plain, *(one.expression() for one in self.near), *every]


class Detection(Config):
    """Patterns, and how they combine."""

    groups: Annotated[dict[Id, Group], Field(min_length=1)]
    condition: Text | None = None
    """Group names with `and`, `or`, `not` and parentheses; without it any group is enough."""
    exclude: Patterns = ()
    """Text that matches one of these is not looked at, as "math exam" by patterns about exams."""
    reads: Literal["claims", "quotations", "all"] = "claims"
    """claims: what the explanation says itself, without what stands in quotation marks and without what is
    about the final token, spelling and syntax; quotations: what stands in quotation marks."""
    denied: bool = False
    """Read also what a clause denies ("does not"), refuses, supposes ("if") or only mentions ("a story
    about")."""
    least_share: Annotated[float, Field(ge=0, le=1)] = 0
    """What matches makes at least this share of the letters of what is read."""
    case: Literal["fold", "exact"] = "fold"
    """`exact` reads the explanation as it was written; look-alike letters then evade the patterns."""

    @model_validator(mode="after")
    def _of_these_groups(self) -> Self:
        used = self.term().names()
        if unknown := sorted(used - set(self.groups)):
            raise ValueError(f"condition: no group {unknown[0]!r}; there are {', '.join(self.groups)}")
        if unused := sorted(set(self.groups) - used):
            raise ValueError(f"condition: group {unused[0]!r} is not used")
        if self.term().holds_for_nothing():
            raise ValueError("condition: it holds for a text that matches no group; name what must be there")
        for what, size in (("quotable patterns", len("|".join(self.quotable()).encode())),
                           ("exclusions", len(either(self.exclude).encode()))):  # fmt: skip
            if size > MOST_BYTES:
                raise ValueError(f"its {what} make more than {MOST_BYTES} bytes; make two detectors of it")
        return self

    @model_validator(mode="after")
    def _in_one_case(self) -> Self:
        patterns = [*self.exclude, *(one for group in self.groups.values() for one in group.flat())]
        for pattern in patterns if self.case == "fold" else ():
            if found := unfolded(pattern):
                raise ValueError(
                    f"pattern {pattern!r}: {found!r} never occurs in casefolded NFKC text; write it in lower "
                    "case and full, or set case: exact"
                )
        return self

    def quotable(self) -> list[str]:
        """One RE2 expression for each thing of which a match can be quoted."""
        asserted = self.term().asserted()
        return [one for name, group in self.groups.items() if name in asserted for one in group.positive()]

    @property
    def plain(self) -> bool:
        """Whether any quotable match is enough: there is no share, `all`, `none`, `and` or `not`."""
        simple = not any(group.all or group.none for group in self.groups.values())
        return simple and not self.least_share and self.term().disjunction

    def term(self) -> Term:
        """The condition, parsed. Raises ValueError for one that is none."""
        return parse(self.condition if self.condition is not None else " or ".join(self.groups))


class Similarity(Config):
    """Sentences of an explanation that are close to examples in an embedding."""

    sentences: Annotated[tuple[Text, ...], Field(min_length=1)]
    minimum_cosine: Annotated[float, Field(gt=0, le=1)] = 0.8


class Question(Config):
    """A question that a language model answers about what the patterns nominate."""

    question: Text
    """Answered YES, NO or UNCLEAR about one explanation, with a quotation from it."""


class Recurrence(Config):
    """How often a claim must come back before it is more than a hit; single claims are often wrong."""

    k: Annotated[int, Field(ge=1)] = 2
    n: Annotated[int, Field(ge=1)] | None = None
    """Among any `n` that follow each other; null: anywhere in the document."""
    over: Literal["positions", "samples", "rows"] = "positions"
    """What is counted: positions of a document, answers to one vector, or all answers of a document."""

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.n is not None and self.k > self.n:
            raise ValueError(f"k {self.k} of n {self.n} can never be reached")
        return self


class Scope(Config):
    """The rows that a detector is about."""

    roles: tuple[Text, ...] = ()
    """Tokens with these labels, such as `assistant` or `thinking`; a row without one is not among them."""
    tokens: tuple[TokenClass, ...] = ()
    """Classes of the token at the position; a row whose token is not known is in none. Empty: all but
    special and template tokens, which decode to what the verbalizer says of itself."""
    without_flags: tuple[Text, ...] = ()
    """No rows with one of these flags, such as `early_position` and `sink_norm`."""


class Estimate(Config):
    """A share with its 95 % interval."""

    rate: Annotated[float, Field(ge=0, le=1)]
    low: Annotated[float, Field(ge=0, le=1)]
    high: Annotated[float, Field(ge=0, le=1)]


class Validation(Config):
    """What people found who reviewed hits and misses of the detector on real explanations."""

    tp: Annotated[int, Field(ge=0)]
    fp: Annotated[int, Field(ge=0)]
    tn: Annotated[int, Field(ge=0)]
    fn: Annotated[int, Field(ge=0)]
    precision: Estimate | None = None
    """Share of true hits, with documents of one family as clusters; null: not estimated by a review."""
    recall: Estimate | None = None
    """Share that is hits of what makes the claim among hits and near misses, by the sample's weights."""
    source: Text
    """Which explanations, by whom, when."""

    @property
    def hits(self) -> int:
        """How many hits were reviewed."""
        return self.tp + self.fp

    @property
    def enough(self) -> bool:
        """Whether these are enough to speak of precision."""
        return self.hits >= VALIDATED


class Detector(Config):
    """One thing to look for, in the manner of a Sigma rule."""

    id: Id
    title: Text
    description: Text
    status: Literal["experimental", "test", "stable", "deprecated"] = "test"
    """`experimental` ones are counted and raise no finding."""
    level: Level
    tier: Tier
    """`strong` names the thing itself, `weak` names a sign of it."""
    references: tuple[Text, ...] = ()
    falsepositives: tuple[Text, ...] = ()
    """What is known to look like it."""
    detection: Detection | None = None
    """Patterns. With `question` they nominate what is asked about."""
    sql: Text | None = None
    """One SELECT, as for `nla-ray sql`, that returns run_id, row_id, sample and, if it likes, span."""
    similarity: Similarity | None = None
    question: Question | None = None
    minimum_fidelity: Annotated[float, Field(le=1)] | None = None
    """Real rows with a lower `fve_nrm` are not hits. A control's fidelity says nothing about its text."""
    recurrence: Recurrence = Recurrence()
    scope: Scope = Scope()
    validation: Validation | None = None
    true_examples: tuple[Text, ...] = ()
    """Explanations that the patterns must match; tested."""
    false_examples: tuple[Text, ...] = ()
    """Explanations that the patterns must not match; tested."""

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        ways = [name for name in ("detection", "sql", "similarity") if getattr(self, name) is not None]
        if len(ways) != 1:
            raise ValueError(
                f"found {' and '.join(ways) or 'nothing'} where exactly one of detection, sql and similarity "
                "belongs"
            )
        if self.question is not None and self.detection is None:
            raise ValueError("question: the patterns of detection nominate what is asked about; add them")
        return self

    @model_validator(mode="after")
    def _as_mature_as_measured(self) -> Self:
        found = self.validation
        if found is None or not found.enough or self.status in ("experimental", "deprecated"):
            return self
        if found.tp < found.fp:
            raise ValueError(
                f"status {self.status}: {found.tp} of {found.hits} reviewed hits are true; a "
                "detector with a precision under 0.5 is experimental"
            )
        return self

    @property
    def kind(self) -> Literal["patterns", "sql", "similarity", "judge"]:
        """How hits are found."""
        if self.question is not None:
            return "judge"
        if self.detection is not None:
            return "patterns"
        return "sql" if self.sql is not None else "similarity"

    @property
    def validated(self) -> bool:
        """Whether enough hits were reviewed to speak of its precision."""
        return self.validation is not None and self.validation.enough


class Artefact(Config):
    """Something that verbalizers are known to write whatever they read; hits inside of it are marked."""

    id: Id
    title: Text
    description: Text
    group: Group
    """A match of `any` or `near` is an occurrence."""
    references: tuple[Text, ...] = ()
    true_examples: tuple[Text, ...] = ()
    false_examples: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.group.all or self.group.none:
            raise ValueError("an artefact is one stretch of text: only any, near and whole_words apply")
        return self

    @property
    def detection(self) -> Detection:
        """The same as a detection."""
        return Detection(groups={"artefact": self.group}, reads="all", denied=True)


class Pack(Config):
    """A file of detectors that are reviewed together."""

    id: Id
    title: Text
    description: Text
    detectors: tuple[Detector, ...] = ()
    artefacts: tuple[Artefact, ...] = ()
