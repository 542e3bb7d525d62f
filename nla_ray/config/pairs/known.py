"""The reviewed table of published pairs, `schemas/pairs.yaml`: read, checked, and looked up by reference."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import cache
from typing import Annotated, Literal

import yaml
from pydantic import Field

from nla_ray.config.base import Config, Name
from nla_ray.config.decode import Baseline
from nla_ray.config.models.injection import InjectionText
from nla_ray.config.pairs.facts import PairFacts
from nla_ray.contract import contract

Part = Literal["av", "ar"]


class KnownMarker(Config):
    """The marker and the ids of it and of its neighbours, as far as they are known."""

    char: Name
    token_id: Annotated[int, Field(ge=0)] | None = None
    left_id: Annotated[int, Field(ge=0)] | None = None
    right_id: Annotated[int, Field(ge=0)] | None = None


class KnownPair(Config):
    """One published pair. What is not known is absent; `source` says where the rest is known from."""

    name: Name | None = None
    """Its short name: NAME:target, NAME:av and NAME:ar."""
    target: Name
    av: tuple[Name, ...]
    """Its verbalizers, OWNER/NAME[#SUBFOLDER]; `*` stands for any text. The first is NAME:av."""
    av_on: Name | None = None
    """What an AV that is an adapter sits on: a reference, `X on Y` where it is an adapter itself."""
    ar: tuple[Name, ...] = ()
    """Its reconstructors. The first is NAME:ar."""
    ar_on: Name | None = None
    revision: Name | None = None
    """The commit that was reviewed: of another one nothing is known then. Absent, the entry holds for
    whatever is published under the reference, now or later, and the proof tells whether it does."""
    layer: Annotated[int, Field(ge=0)] | None = None
    """K; absent for a pair that reads every layer or where the files say it."""
    injection: InjectionText | None = None
    marker: KnownMarker | None = None
    facts: PairFacts = PairFacts()
    baseline: Baseline | None = None
    """The denominator of its published fidelity."""
    refused: Name | None = None
    """Why it cannot be read as an NLA of single tokens."""
    source: Name
    """Where this is known from."""
    note: Name | None = None


class KnownPairs(Config):
    """The table."""

    pairs: tuple[KnownPair, ...]


@cache
def known_pairs() -> tuple[KnownPair, ...]:
    """The shipped table."""
    text = contract("pairs.yaml").read_text(encoding="utf-8")
    return KnownPairs.model_validate(yaml.safe_load(text)).pairs


def named_pairs() -> dict[str, KnownPair]:
    """Those with a short name."""
    return {pair.name: pair for pair in known_pairs() if pair.name is not None}


def known_pair(reference: str, revision: str | None = None) -> tuple[KnownPair, Part] | None:
    """The pair that has OWNER/NAME[#SUBFOLDER] as a part, and which part that is.

    Where the table knows a commit and `revision` is another one, nothing is known.
    """
    for pair in known_pairs():
        if pair.revision is not None and revision is not None and pair.revision != revision:
            continue
        parts: tuple[tuple[Part, tuple[str, ...]], ...] = (("av", pair.av), ("ar", pair.ar))
        for part, references in parts:
            if any(fnmatchcase(reference, one) for one in references):
                return pair, part
    return None


def known_base(reference: str, revision: str | None = None) -> str | None:
    """What an adapter of the table sits on; None for any other reference."""
    found = known_pair(reference, revision)
    if found is None:
        return None
    pair, part = found
    return pair.av_on if part == "av" else pair.ar_on
