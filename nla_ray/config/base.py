"""The base of all configuration models: frozen, nothing unknown, one fingerprint."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, GetJsonSchemaHandler, StringConstraints
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

Name = Annotated[str, StringConstraints(min_length=1)]
"""A name that says something."""

Place = Annotated[Name, BeforeValidator(lambda value: str(value) if isinstance(value, Path) else value)]
"""A path on this machine or a URL of S3, as it is written: a Path would drop a slash of a URL."""


class Config(BaseModel):
    """A frozen configuration; attribute docstrings are the descriptions in its JSON Schema."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    without_effect: ClassVar[frozenset[str]] = frozenset()
    """Fields that do not change the rows, such as where they are written; left out of the fingerprint."""

    def effective(self) -> dict[str, Any]:
        """Every value that changes results, defaults included, ready for JSON."""
        values = self.model_dump(mode="json", exclude=set(self.without_effect))
        parts = {name: part for name in values if isinstance(part := getattr(self, name), Config)}
        return values | {name: part.effective() for name, part in parts.items()}

    def canonical(self) -> str:
        """`effective()` as JSON with sorted keys."""
        return json.dumps(self.effective(), sort_keys=True, separators=(",", ":"), ensure_ascii=True)

    def fingerprint(self) -> str:
        """Hex sha256 of `canonical()`: equal fingerprints mean equal recipes."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()


class OrText:
    """Tells the JSON Schema that a field with parts may be written as one string."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string"}, handler(schema)]}
