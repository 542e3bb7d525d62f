"""What lies in a checkpoint directory, as far as it tells how the pair is written down."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nla_ray.config.pairs.facts import PairFacts
from nla_ray.errors import CheckpointError

SIDECAR_NAME = "nla_meta.yaml"
ADAPTER_CONFIG, AR_META = "adapter_config.json", "ar_meta.json"
HEAD_NAME, HEADS_NAME = "value_head.safetensors", "value_heads.safetensors"
"""One head, and a head for each block: `value_head.K.weight`."""

PICKLED_HEADS = ("linear_head.pt", "value_head.pt", "value_heads.pt")
AR_FILES = (AR_META, HEAD_NAME, HEADS_NAME, *PICKLED_HEADS)
"""Files that only a reconstructor has."""

VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "tekken.json")
"""Files one of which every tokenizer has."""


@dataclass(frozen=True)
class Seen:
    """A checkpoint directory: its sidecar (None: it has none), and facts that are said elsewhere.

    `path` is the sidecar's, or where it would be; `slots` is how many vectors a prompt is asked to take.
    """

    directory: Path
    path: Path
    meta: Mapping[str, Any] | None
    facts: PairFacts
    slots: int = 1

    @property
    def role(self) -> str:
        """`ar` where there is a file that only a reconstructor has, else `av`."""
        return "ar" if any((self.directory / name).exists() for name in AR_FILES) else "av"

    def said(self, *names: str) -> Any:
        """The value under nested keys; None where there is none."""
        here: Any = self.meta
        for name in names:
            here = here.get(name) if isinstance(here, Mapping) else None
        return here

    def group(self, name: str) -> dict[str, Any]:
        """A copy of the mapping under a key, empty where there is none."""
        found = self.said(name)
        return dict(found) if isinstance(found, Mapping) else {}

    def refuse(self, field: str, problem: str) -> CheckpointError:
        """The error for a field of the sidecar."""
        return CheckpointError(f"{self.path}: {field}: {problem}")


def sidecar_path(directory: Path) -> Path:
    """Where the sidecar is: in the directory, or above an adapter or a reconstructor that has none."""
    own, above = directory / SIDECAR_NAME, directory.absolute().parent / SIDECAR_NAME
    if not own.exists() and above.is_file() and is_part(directory):
        return above
    return own


def is_part(directory: Path) -> bool:
    """Whether there are files that make an adapter or a reconstructor."""
    return any((directory / name).exists() for name in (ADAPTER_CONFIG, *AR_FILES))


def is_number(value: object) -> bool:
    """Whether it is a number that a float can hold: neither infinite nor true."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def read_json(file: Path) -> dict[str, Any]:
    """A small JSON object of a checkpoint. Raises CheckpointError for anything else."""
    try:
        if file.stat().st_size > 1 << 24:
            raise ValueError("it is too large")
        found = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("an object was expected")
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{file}: not a readable JSON object: {error}") from None
    return found
