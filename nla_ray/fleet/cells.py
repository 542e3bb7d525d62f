"""The cells of a sweep: one model at one layer over one corpus in one week."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from nla_ray.config.base import Config, Name


class Cell(Config):
    """One piece of a sweep, which is decoded into one run and audited by itself."""

    sweep: Name
    week: Name
    """ISO week, such as `2026-W48`."""
    model: Name
    """Name of the target in the sweep."""
    base: Name | None = None
    """Name of the target that it was made from, for a fine-tune."""
    corpus: Name
    layer: Annotated[int, Field(ge=0)] | None
    """K; None where the model is not there and the configuration does not say."""

    @property
    def id(self) -> str:
        """What the cell is called within its week."""
        layer = "" if self.layer is None else f"L{self.layer}."
        return f"{self.model}.{layer}{self.corpus}"

    @property
    def pair(self) -> tuple[str, str]:
        """The model and the corpus, which name the cell in every week."""
        return self.model, self.corpus

    def labels(self) -> dict[str, str]:
        """By what the cell's runs are found; no part of their identity."""
        named = {
            "sweep": self.sweep,
            "week": self.week,
            "model": self.model,
            "base": self.base,
            "corpus": self.corpus,
            "layer": None if self.layer is None else str(self.layer),
        }
        return {name: value for name, value in named.items() if value is not None}
