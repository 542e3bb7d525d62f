"""Where a model is: a path or a hub id, with its revision and its sub-folder."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from nla_ray.errors import ConfigError

_ON = re.compile(r"(?:^|\s)on(?:\s|$)")
_FORM = re.compile(r"(?P<path>[^@#]+)(?:@(?P<revision>[^@#]+))?(?:#(?P<subfolder>[^@#]+))?")


class ModelRef(BaseModel):
    """A model by path or hub id. In YAML and on the command line: `ID_OR_PATH[@REVISION][#SUBFOLDER]`.

    An adapter over its base is `ADAPTER on BASE`, where each is such a text, and BASE may be another adapter
    on a base of its own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    """A local directory, `s3://bucket/folder`, a hub id (`owner/name`), a released name (`qwen2.5-7b:av`) or
    `demo:av`."""

    revision: str | None = None
    """Branch, tag or commit on the hub; a commit pins the weights. On S3: the pin that a plan recorded."""

    subfolder: str | None = None
    """The folder inside the directory or repository that holds the checkpoint."""

    base: ModelRef | None = Field(default=None, exclude_if=lambda base: base is None)
    """Of an adapter (LoRA): the model that it was trained over; left out, its own files must tell."""

    trust_remote_code: bool = False
    """Run Python code that the checkpoint brings along. Off unless asked for."""

    @classmethod
    def parse(cls, text: str, *, trust_remote_code: bool = False) -> ModelRef:
        """The reference that `ID_OR_PATH[@REVISION][#SUBFOLDER]` means; a path that exists is taken whole.

        Raises ConfigError on anything else.
        """
        try:
            return cls.model_validate({**_parts(text), "trust_remote_code": trust_remote_code})
        except ValidationError as error:
            problem = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise ConfigError(f"model {text!r}: {problem}") from None
        except ValueError as error:
            raise ConfigError(str(error)) from None

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        value = _parts(value) if isinstance(value, str) else value
        if isinstance(value, dict) and value.get("trust_remote_code") and value.get("base") is not None:
            base = _parts(value["base"]) if isinstance(value["base"], str) else value["base"]
            inherited = {"trust_remote_code": True}
            value = {**value, "base": inherited | base if isinstance(base, dict) else base}
        return value

    @field_validator("path")
    @classmethod
    def _not_empty(cls, path: str) -> str:
        if not path.strip():
            raise ValueError("a model is named by a path or a hub id; this one is empty")
        return path

    @field_validator("subfolder")
    @classmethod
    def _stays_inside(cls, subfolder: str | None) -> str | None:
        if subfolder is None:
            return None
        folder = PurePosixPath(subfolder)
        if folder.is_absolute() or ".." in folder.parts or not folder.parts:
            raise ValueError(f"sub-folder {subfolder!r}: a relative path inside the checkpoint was expected")
        return str(folder)

    def anchored(self) -> ModelRef:
        """The same; a folder on this machine by its whole path, for workers may run in another one."""
        folder = local_path(self.path)
        here = self if folder is None else self.model_copy(update={"path": str(folder.absolute())})
        return here if self.base is None else here.model_copy(update={"base": self.base.anchored()})

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        own = f"{self.path}{revision}" + (f"#{self.subfolder}" if self.subfolder else "")
        return own if self.base is None else f"{own} on {self.base}"


def local_path(text: str) -> Path | None:
    """What a text names on this machine, `~` expanded; None where there is nothing, and for a URL."""
    if "://" in text:
        return None
    try:
        path = Path(text).expanduser()
        return path if path.exists() else None
    # A name that no path can have (too long, the home of a user who is not there) names nothing.
    except (OSError, RuntimeError):
        return None


def _parts(text: str) -> dict[str, Any]:
    if local_path(text) is not None:
        return {"path": text}
    if (two := _adapter_and_base(text)) is not None:
        return {**_parts(two[0]), "base": _parts(two[1])}
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError(
            f"model {text!r}: ID_OR_PATH[@REVISION][#SUBFOLDER] was expected, or ADAPTER on BASE"
        )
    return match.groupdict()


def _adapter_and_base(text: str) -> tuple[str, str] | None:
    """The two sides of the first ` on `; of one behind a folder that exists, for a folder may be named so."""
    found = [(text[: at.start()].strip(), text[at.end() :].strip()) for at in _ON.finditer(text)]
    existing = [two for two in found if local_path(two[0]) is not None]
    return next(iter([*existing, *found]), None)
