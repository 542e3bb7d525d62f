"""The configuration of a sampling budget: of all chosen positions some, as many of each kind."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from nla_ray.config.base import Config, Name

Kind = Literal["role", "token_class", "length", "source"]


class Sample(Config):
    """How many vectors a run may have, and of which kinds of positions in equal parts.

    Which positions are kept follows from the seed, `key`, the document's id and the position alone: neither
    the order of documents nor the files that they are in matter.
    """

    vectors: Annotated[int, Field(ge=1)] | None = None
    """At most so many vectors, controls not counted; every stratum gets an equal part, and what a small one
    leaves goes to the others. The rates that follow are in the plan's facts."""
    rates: dict[Name, Annotated[float, Field(ge=0, le=1)]] | None = None
    """Instead of `vectors`: the share of the positions that is kept of each stratum, by its name; of one that
    is not named, nothing. With the rates of an earlier week, units that it read are reused."""
    by: tuple[Kind, ...] = ("role", "token_class", "length")
    """What makes a stratum: the label of the token, its class (`word`, `word-piece`, `number`, `punctuation`,
    `space`, `special`), the tokens of the document in powers of four, the name of the file."""
    key: str = ""
    """Draws other positions for every text that is put here; equal ones draw the same. In a sweep, `{week}`
    stands for the week."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Sample:
        if (self.vectors is None) == (self.rates is None):
            raise ValueError("give vectors or rates, one of the two")
        if len(set(self.by)) < len(self.by):
            raise ValueError("by: each once")
        return self
