"""Which weights a run used: a digest of every file of a checkpoint, and the versions of what ran them."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.metadata import version
from pathlib import Path

from nla_ray import __version__
from nla_ray.config.models.reference import ModelRef
from nla_ray.ids import digest
from nla_ray.models import commit_of, gguf_of, gguf_sha256
from nla_ray.nla.model.adapters.view import layers_of
from nla_ray.nla.model.resolve import wanted_files
from nla_ray.nla.sidecar.dialects.seen import SIDECAR_NAME, sidecar_path
from nla_ray.store.places.sums import file_sha256

_PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "peft", "pyarrow")


@dataclass(frozen=True)
class ModelRecord:
    """A model as it was used: its reference, the hub commit where there is one, a digest of what it is."""

    ref: str
    commit: str | None
    sha256: str

    def __str__(self) -> str:
        return f"{self.ref} sha256:{self.sha256[:16]}"


def model_record(ref: ModelRef, directory: Path) -> ModelRecord:
    """Identity of a checkpoint: the commit where it is from the hub, for that pins every file, here or not.

    Of a local directory every file that makes a checkpoint is read, so that it is the same here and on S3,
    and the sidecar one level up where that is the one that is read; sub-folders do not count. An adapter is
    its own files and all that its base is; a GGUF file is what it holds, not what it was converted to.
    """
    if (file := gguf_of(ref)) is not None:
        return ModelRecord(str(ref), commit_of(file), digest("gguf", gguf_sha256(file)))
    if (layers := layers_of(directory)) is not None:
        own = model_record(ref.model_copy(update={"base": None}), layers.adapter)
        base = model_record(ref.base or ref, layers.base)
        sidecar = file_sha256(file) if (file := directory / SIDECAR_NAME).exists() else None
        return ModelRecord(str(ref), own.commit, digest("adapter", own.sha256, base.sha256, sidecar))
    commit = commit_of(directory)
    if commit is not None:
        return ModelRecord(str(ref), commit, digest("commit", commit, ref.subfolder))
    patterns = wanted_files(code=ref.trust_remote_code)
    here = {file.name: file for file in directory.iterdir() if file.is_file()}
    files = {
        name: file
        for name, file in here.items()
        if not name.startswith(".") and any(fnmatchcase(name, pattern) for pattern in patterns)
    }
    if (above := sidecar_path(directory)).is_file():
        files[SIDECAR_NAME] = above
    parts = [part for name in sorted(files) for part in (name, file_sha256(files[name]))]
    return ModelRecord(str(ref), None, digest(*parts))


def at_commit(ref: ModelRef, directory: Path) -> ModelRef:
    """A model at the commit that was found: a branch that moves meanwhile changes nothing; its base too."""
    if (layers := layers_of(directory)) is not None:
        base = None if ref.base is None else at_commit(ref.base, layers.base)
        return at_commit(ref, layers.adapter).model_copy(update={"base": base})
    return ref.model_copy(update={"revision": commit_of(directory) or ref.revision})


def versions() -> dict[str, str]:
    """Versions of nla_ray, Python and the packages that determine results."""
    own = {"nla_ray": __version__, "python": platform.python_version()}
    return own | {name: version(name) for name in _PACKAGES}
