"""Which weights a run used: a digest of every file of a checkpoint, and the versions of what ran them."""

from __future__ import annotations

import hashlib
import platform
import re
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from nla_ray import __version__
from nla_ray.config.reference import ModelRef
from nla_ray.ids import digest

_PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "pyarrow")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class ModelRecord:
    """A model as it was used: its reference, the hub commit where there is one, a digest of its files."""

    ref: str
    commit: str | None
    sha256: str

    def __str__(self) -> str:
        return f"{self.ref} sha256:{self.sha256[:16]}"


def model_record(ref: ModelRef, directory: Path) -> ModelRecord:
    """Identity of a checkpoint directory; every file in it counts, sub-folders do not.

    Files in the hub's download cache are links to blobs named by their sha256, which then need not be read.
    """
    names = sorted(file.name for file in directory.iterdir() if file.is_file())
    parts = [part for name in names for part in (name, file_sha256(directory / name))]
    at = directory.parts.index("snapshots") + 1 if "snapshots" in directory.parts[:-1] else None
    return ModelRecord(str(ref), None if at is None else directory.parts[at], digest(*parts))


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file."""
    if path.is_symlink() and _SHA256.fullmatch(path.resolve().name):
        return path.resolve().name
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions() -> dict[str, str]:
    """Versions of nla_ray, Python and the packages that determine results."""
    own = {"nla_ray": __version__, "python": platform.python_version()}
    return own | {name: version(name) for name in _PACKAGES}
