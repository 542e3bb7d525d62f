"""The base of all configuration models: frozen, nothing unknown, one fingerprint."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

Name = Annotated[str, StringConstraints(min_length=1)]
"""A name that says something."""

Place = Annotated[Name, BeforeValidator(lambda value: str(value) if isinstance(value, Path) else value)]
"""A path on this machine or a URL of S3, as it is written: a Path would drop a slash of a URL."""


class Config(BaseModel):
    """A frozen configuration; attribute docstrings are the descriptions in its JSON Schema."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    without_effect: ClassVar[frozenset[str]] = frozenset()
    """Fields that do not change the rows, such as where they are written; left out of the fingerprint."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        found: Any = handler.resolve_ref_schema(schema)
        while found["type"] != "model-fields":
            found = found["schema"]
        for field in found["fields"].values():
            field["schema"] = _without_truth(field["schema"])
        return schema

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


def _without_truth(schema: Any) -> Any:
    """A schema whose numbers are not true or false, which Python, and so pydantic, takes for 1 and 0."""
    if isinstance(schema, list | tuple):
        return type(schema)(_without_truth(one) for one in schema)
    if _is_number(schema):
        return core_schema.no_info_before_validator_function(_no_truth, cast(CoreSchema, schema))
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "union":
        # The path to a problem names a choice, by its type where nothing else is said.
        named = [(one, one["type"]) if _is_number(one) else one for one in schema["choices"]]
        schema = schema | {"choices": named}
    return schema | {name: _without_truth(schema[name]) for name in schema.keys() & _PARTS}


def _is_number(schema: Any) -> bool:
    return isinstance(schema, dict) and schema.get("type") in _NUMBERS


_NUMBERS = ("int", "float")
_PARTS = frozenset({"schema", "items_schema", "keys_schema", "values_schema", "choices"})
"""Where a schema holds those of its parts; other models have their own."""


def _no_truth(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a number belongs here; YAML reads yes, no, on and off as true and false")
    return value


@dataclass(frozen=True)
class Spelled:
    """A text of this form (a regular expression for all of it); one that is not is refused in words."""

    pattern: str
    words: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(schema) | {"pattern": self.pattern}

    def _checked(self, text: str) -> str:
        if not re.fullmatch(self.pattern, text):
            raise ValueError(f"must be {self.words}")
        return text


Address = Annotated[str, Spelled(r"^(local|auto|[^:/\s]+:\d+)$", "HOST:PORT, `auto` or `local`")]
"""Where Ray's head is."""

EnvName = Annotated[
    str,
    Spelled(r"^[A-Z][A-Z0-9_]*$", "the name of an environment variable: capital letters, digits and _"),
]
"""Where a secret is, which itself is in no configuration."""


class OrText:
    """Tells the JSON Schema that a field with parts may be written as one string."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        # Pydantic asks again for what stands inside another type, such as an optional one.
        found, text = handler(schema), {"type": "string"}
        return found if text in found.get("anyOf", ()) else {"anyOf": [text, found]}
