"""The configuration of low-rank adapters (LoRA) that train in place of a model's own weights."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from nla_ray.config.base import Config, Name


def _named(value: object) -> object:
    """Raise ValueError for what is no list of names: peft would take one text for a pattern."""
    names = isinstance(value, list | tuple) and value and all(isinstance(one, str) and one for one in value)
    if names or value == "all-linear":
        return value
    example = value if isinstance(value, str) and value else "q_proj, v_proj"
    raise ValueError(f"all-linear, or a list of names such as [{example}], belongs here")


class Lora(Config):
    """Low-rank adapters (LoRA) on the linear layers of AV and AR; all else stays as it was loaded.

    The head of the reconstructor is no adapter: it trains in full.
    """

    rank: Annotated[int, Field(ge=1)] = 16
    alpha: Annotated[float, Field(gt=0)] = 16.0
    """What an adapter adds is multiplied by alpha / sqrt(rank), or by alpha / rank without `rslora`."""
    rslora: bool = True
    """Rank-stabilised: the same learning rate serves every rank."""
    targets: Annotated[
        Literal["all-linear"] | Annotated[tuple[Name, ...], Field(min_length=1)], BeforeValidator(_named)
    ] = "all-linear"
    """The layers of the blocks that get an adapter, by the last part of their names, such as `q_proj`."""
    release: Literal["merged", "adapter", "easynla"] = "merged"
    """`merged`: whole models, as without adapters. `adapter`: the adapters alone in the form of peft, with
    sidecar, tokenizer and the AR's head, read as `OUT/rl/av on BASE`. `easynla`: these, and in `easynla`
    beside them the same in EasyNLA's form, which means `add_matched@output:1` and `rslora`."""

    @model_validator(mode="after")
    def _as_easynla_reads_it(self) -> Lora:
        if self.release == "easynla" and not self.rslora:
            raise ValueError(
                "release: easynla takes every adapter for a rank-stabilised one; leave rslora on"
            )
        return self
