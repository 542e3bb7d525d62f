"""Explanations that the data has already, in one of its columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nla_ray.config.training.training_set import AR_SLOT, Column
from nla_ray.errors import InputError
from nla_ray.nla.outcomes import CLOSE, OPEN, extract
from nla_ray.providers.provider import Place, Provider, Said
from nla_ray.text import storable


class ColumnProvider(Provider):
    """A column of text; tags of explanations and the reconstructor's template are taken off."""

    def __init__(self, config: Column, ar_template: str) -> None:
        self._column = config.column
        self._before, _, self._after = ar_template.partition(AR_SLOT)

    def explain(self, places: Sequence[Place], unit: str) -> Iterator[tuple[int, Said]]:
        """See Provider. Raises InputError where the column is not there."""
        for index, place in enumerate(places):
            if self._column not in place.meta:
                raise InputError(
                    f"provider.column: no column {self._column!r} in the corpus; the columns are "
                    f"{', '.join(place.meta) or 'none'}"
                )
            yield index, self._said(place.meta[self._column])

    def _said(self, value: object) -> Said:
        if not isinstance(value, str):
            return Said(None, "no text in the column")
        text = storable(value)
        if text.startswith(self._before) and text.endswith(self._after):
            text = text[len(self._before) : len(text) - len(self._after)]
        if CLOSE in text:
            text, _ = extract(text)
        elif OPEN in text:
            return Said(None, "no closing tag")
        return Said(text.strip()) if text.strip() else Said(None, "no text in the column")
