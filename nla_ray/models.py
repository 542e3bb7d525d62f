"""From a model's name to its directory here: fetched from S3 or converted from GGUF once, else resolved."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from nla_ray.cache import cache_folder, made_once
from nla_ray.config.decode import Models
from nla_ray.config.models.reference import ModelRef
from nla_ray.errors import CheckpointError, NoCheckpointError
from nla_ray.ids import digest
from nla_ray.nla.model.adapters.easynla import made_from
from nla_ray.nla.model.resolve import base_of, gguf_file, named_gguf, resolve, wanted_files
from nla_ray.nla.sidecar.known import snapshot_of
from nla_ray.text import call

S3 = "s3://"

Ref = TypeVar("Ref", ModelRef, ModelRef | None)


def pinned(ref: Ref) -> Ref:
    """A model of S3 with the pin of its files as its revision, and all of them here; any other as it is.

    Of an adapter its base too, which is written down where only the adapter's files name it; of a GGUF file
    from the hub the revision is the commit. Whoever resolves it later gets these files: other ones in their
    place are refused. Raises as `here` and `resolve` do.
    """
    if ref is None:
        return ref
    if ref.path.startswith(S3):
        _, pin = _copy(ref, weights=True)
        ref = ref.model_copy(update={"revision": pin})
    if (file := gguf_of(ref)) is not None:
        return ref.model_copy(update={"revision": commit_of(file) or ref.revision})
    base = ref.base or base_of(here(ref))
    return ref if base is None else ref.model_copy(update={"base": pinned(base)})


def pinned_models(models: Models) -> Models:
    """The same of three models."""
    found = {role: pinned(getattr(models, role)) for role in ("target", "av", "ar")}
    return models.model_copy(update=found)


def here(ref: Ref, *, weights: bool = True) -> Ref:
    """A model of S3 or a GGUF file as the folder here that it was fetched or converted to; any other as it
    is.

    Raises CheckpointError for a model of S3 whose code is to be run and for a GGUF file that is damaged or
    not converted; NoFileError where it is not there, InputError where it is not that of the revision;
    UnreachableError.
    """
    if ref is None:
        return ref
    if ref.base is not None:
        ref = ref.model_copy(update={"base": here(ref.base, weights=weights)})
    if (file := gguf_of(ref)) is not None:
        directory = _converted(file)
    elif ref.path.startswith(S3):
        directory, _ = _copy(ref, weights=weights)
    else:
        return ref
    return ref.model_copy(update={"path": str(directory), "revision": None, "subfolder": None})


def gguf_of(ref: ModelRef) -> Path | None:
    """The GGUF file that a reference names, here, fetched where it must be; None for other references."""
    if not ref.path.startswith(S3):
        return gguf_file(ref)
    if not named_gguf(ref):
        return None
    directory, _ = _copy(ref, weights=True)
    return directory / _gguf_place(ref)[1]


def gguf_sha256(file: Path) -> str:
    """Digest of a GGUF file, its identity; the file is read once a process, unless it changes."""
    stat = file.stat()
    return _sha256(file.resolve(), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=32)
def _sha256(file: Path, _size: int, _changed: int) -> str:
    from nla_ray.store.places.sums import file_sha256

    return file_sha256(file)


def _converted(file: Path) -> Path:
    """The checkpoint folder of a GGUF file, made once by each version of what makes it."""
    # Packages that are not needed for models of other kinds; a header is refused before torch is loaded.
    from nla_ray.nla.model.gguf.header import VERSION, open_gguf, require_gguf

    require_gguf(file)
    made_by = digest(str(VERSION), version("gguf"), version("transformers"))[:8]
    home = cache_folder() / "models" / f"gguf-{gguf_sha256(file)[:32]}-{made_by}"
    name = file.stem

    def make(part: Path) -> None:
        opened = open_gguf(file)
        from nla_ray.nla.model.gguf.convert import convert

        (part / name).mkdir()
        convert(opened, part / name)

    made = made_once(home, make) / name
    call(made, file)
    return made


def commit_of(path: Path) -> str | None:
    """The commit of what lies in the hub's download cache, or was made from it; None of any other."""
    found = snapshot_of(made_from(path))
    return None if found is None else found.commit


def directory_of(ref: ModelRef, *, weights: bool = True) -> Path:
    """The local directory of a checkpoint. Raises as `here` and `nla_ray.nla.model.resolve.resolve` do."""
    return resolve(here(ref, weights=weights), weights=weights)


def planned_directory(ref: ModelRef) -> Path:
    """The directory as a plan needs it: of S3 every file, for what they hold is the model's identity.

    A local directory has all files, and the hub's commit stands for them; so of each base below an adapter.
    """
    return resolve(here(ref), weights=False)


def _copy(ref: ModelRef, *, weights: bool) -> tuple[Path, str]:
    if ref.trust_remote_code:
        raise CheckpointError(
            f"{ref}: code that lies on S3 is not run; copy the model to a folder that you have looked through"
        )
    # The S3 libraries take longer to load than all that other models need.
    from nla_ray.store.places.remote.copies import local_copy

    if named_gguf(ref):
        url, name = _gguf_place(ref)
        directory, pin = local_copy(url, [name], ref.revision)
    else:
        url = ref.path.rstrip("/") + (f"/{ref.subfolder}" if ref.subfolder else "")
        directory, pin = local_copy(url, wanted_files(), ref.revision, only=wanted_files(weights=weights))
    call(directory, url)
    return directory, pin


def _gguf_place(ref: ModelRef) -> tuple[str, str]:
    """Folder and name of a GGUF file on S3; the name is one file's, whatever signs of a pattern are in it."""
    url = ref.path.rstrip("/") + (f"/{ref.subfolder}" if ref.subfolder else "")
    folder, _, name = url.rpartition("/")
    if not name or any(sign in name for sign in "*?["):
        raise NoCheckpointError(f"{ref}: the name of one GGUF file was expected")
    return folder, name
