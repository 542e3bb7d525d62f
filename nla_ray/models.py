"""From a model's name to its directory here: what lies on S3 is fetched once, all else is resolved."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from nla_ray.config.decode import Models
from nla_ray.config.reference import ModelRef
from nla_ray.errors import CheckpointError
from nla_ray.nla.model.resolve import base_of, resolve, wanted_files

S3 = "s3://"

Ref = TypeVar("Ref", ModelRef, ModelRef | None)


def pinned(ref: Ref) -> Ref:
    """A model of S3 with the pin of its files as its revision, and all of them here; any other as it is.

    Of an adapter its base too, which is written down where only the adapter's files name it. Whoever resolves
    it later gets these files: other ones in their place are refused. Raises as `here` and `resolve` do.
    """
    if ref is None:
        return ref
    if ref.path.startswith(S3):
        _, pin = _copy(ref, weights=True)
        ref = ref.model_copy(update={"revision": pin})
    base = ref.base or base_of(here(ref, weights=False))
    return ref if base is None else ref.model_copy(update={"base": pinned(base)})


def pinned_models(models: Models) -> Models:
    """The same of three models."""
    found = {role: pinned(getattr(models, role)) for role in ("target", "av", "ar")}
    return models.model_copy(update=found)


def here(ref: Ref, *, weights: bool = True) -> Ref:
    """A model of S3 as the folder of this machine that it was fetched to; any other as it is.

    Raises CheckpointError for a model of S3 whose code is to be run; NoFileError where it is not there,
    InputError where it is not that of the revision; UnreachableError.
    """
    if ref is None:
        return ref
    if ref.base is not None:
        ref = ref.model_copy(update={"base": here(ref.base, weights=weights)})
    if not ref.path.startswith(S3):
        return ref
    directory, _ = _copy(ref, weights=weights)
    return ref.model_copy(update={"path": str(directory), "revision": None, "subfolder": None})


def directory_of(ref: ModelRef, *, weights: bool = True) -> Path:
    """The local directory of a checkpoint. Raises as `here` and `nla_ray.nla.model.resolve.resolve` do."""
    return resolve(here(ref, weights=weights), weights=weights)


def planned_directory(ref: ModelRef) -> Path:
    """The directory as a plan needs it: of S3 every file, for what they hold is the model's identity.

    A local directory has all files, and the hub's commit stands for them.
    """
    return directory_of(ref, weights=ref.path.startswith(S3))


def _copy(ref: ModelRef, *, weights: bool) -> tuple[Path, str]:
    if ref.trust_remote_code:
        raise CheckpointError(
            f"{ref}: code that lies on S3 is not run; copy the model to a folder that you have looked through"
        )
    # The S3 libraries take longer to load than all that other models need.
    from nla_ray.store.places.remote.copies import local_copy

    url = ref.path.rstrip("/") + (f"/{ref.subfolder}" if ref.subfolder else "")
    return local_copy(url, wanted_files(), ref.revision, only=wanted_files(weights=weights))
