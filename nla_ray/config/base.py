"""The base of all configuration models: frozen, nothing unknown, one fingerprint."""

from __future__ import annotations

import hashlib
import json
from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """A frozen configuration; attribute docstrings are the descriptions in its JSON Schema."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    without_effect: ClassVar[frozenset[str]] = frozenset()
    """Fields that do not change the rows, such as where they are written; left out of the fingerprint."""

    def canonical(self) -> str:
        """Every value that changes results, defaults included, as JSON with sorted keys."""
        values = self.model_dump(mode="json", exclude=set(self.without_effect))
        return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True)

    def fingerprint(self) -> str:
        """Hex sha256 of `canonical()`: equal fingerprints mean equal recipes."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()
