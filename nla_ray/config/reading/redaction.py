"""What is hidden in prompts and explanations before anything is stored."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from nla_ray.config.base import Config, Name, Spelled
from nla_ray.config.detectors.patterns import EMPTY, refusal

StoreText = Literal["none", "window", "full"]


def _usable(pattern: str) -> str:
    problem = refusal(pattern)
    if problem == EMPTY:
        raise ValueError(f"pattern {pattern!r}: {EMPTY}")
    if problem:
        raise ValueError(
            f"pattern {pattern!r}: RE2 refuses it: {problem} (RE2 has no lookaround and no backreference)"
        )
    return pattern


class Redact(Config):
    """Texts in which something is found are stored with `replacement` in its place.

    It is part of the recipe: the plan records it, so a pattern describes a secret and does not hold it.
    """

    patterns: Annotated[
        tuple[Annotated[str, StringConstraints(min_length=1, max_length=600), AfterValidator(_usable)], ...],
        Field(max_length=100),
    ] = ()
    """RE2 expressions; every match is hidden."""
    function: (
        Annotated[str, Spelled(r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$", "a module and a function, `module:name`")]
        | None
    ) = None
    """`module:name` of a function that is given a text and returns the (start, end) pairs, in characters, of
    what is to be hidden. It runs where rows are written; a row for which it fails is `failed`."""
    function_sha256: Annotated[str, Spelled(r"^[0-9a-f]{64}$", "64 hexadecimal digits")] | None = None
    """Digest of the source of the function's module; null: as it is found when the decode is planned."""
    replacement: Name = "[redacted]"
    """What stands in the place of what is hidden."""

    @model_validator(mode="after")
    def _hides_something(self) -> Redact:
        if not self.patterns and self.function is None:
            raise ValueError("name patterns or a function; without either nothing is hidden")
        if self.function is None and self.function_sha256 is not None:
            raise ValueError("function_sha256: there is no function")
        return self
