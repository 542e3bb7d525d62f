"""From a model reference to a local directory: a path, the demo pair, a released name, or the hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from nla_ray.config.models.reference import ModelRef, local_path
from nla_ray.config.pairs.known import known_base, named_pairs
from nla_ray.errors import CheckpointError, NoCheckpointError
from nla_ray.nla.model.adapters.base import said_base
from nla_ray.nla.model.adapters.contents import WEIGHTS_NAME, is_adapter
from nla_ray.nla.model.adapters.easynla import as_adapter
from nla_ray.nla.model.adapters.view import make_view
from nla_ray.nla.model.files.weights import HEAD_NAME, MEAN_NAME
from nla_ray.nla.sidecar.dialects.easynla import AR_WEIGHTS
from nla_ray.nla.sidecar.dialects.seen import HEADS_NAME, SIDECAR_NAME
from nla_ray.nla.sidecar.known import reference_of

PARTS = ("target", "av", "ar")
DEMO_PARTS = (*PARTS, "av-sft", "ar-sft")

_SMALL_FILES = ("*.json", "*.yaml", "*.txt", "*.model", "*.jinja")


def resolve(ref: ModelRef, *, weights: bool = True) -> Path:
    """The local directory of a checkpoint; from the hub, safetensors and small files, never pickles.

    Without `weights`, only the small files come from the hub, a value head and an adapter's tensors. Of
    an adapter it is the view of it and its base; where the reference names no base, its own files must.
    Raises NoCheckpointError in one line when there is no such directory or repository, or no way to reach it,
    CheckpointError where a base is missing or named for what is no adapter.
    """
    own = _own_directory(ref, weights=weights)
    directory = as_adapter(own)
    base = ref.base or _said_base(ref, own, directory)
    if base is None:
        return directory
    if ref.trust_remote_code:
        base = base.model_copy(update={"trust_remote_code": True})
    return make_view(directory, resolve(base, weights=weights))


def base_of(ref: ModelRef) -> ModelRef | None:
    """The base of an adapter: by the reference, the table of known pairs, or its files; None of any other.

    Raises as `resolve`.
    """
    if ref.base is not None:
        return ref.base
    own = _own_directory(ref, weights=False)
    return _said_base(ref, own, as_adapter(own))


def _said_base(ref: ModelRef, own: Path, directory: Path) -> ModelRef | None:
    """By the table first: what an adapter of a second training sits on, its own files do not tell."""
    if not is_adapter(directory):
        return None
    if ref.trust_remote_code:
        raise CheckpointError(
            f"{ref}: an adapter with trust_remote_code: its own files name its base, and no code is run that "
            "they lead to; name the base yourself: ADAPTER on BASE"
        )
    reference = reference_of(own)
    known = None if reference is None else known_base(*reference)
    return said_base(directory) if known is None else ModelRef.parse(known)


def _own_directory(ref: ModelRef, *, weights: bool) -> Path:
    """The directory of a reference without its base."""
    local = local_directory(ref)
    if local is not None:
        _refuse_pipes(ref, local)
        return local
    hub_id = released_id(ref.path)
    if hub_id.count("/") > 1 or hub_id.startswith(("/", ".", "~")):
        raise NoCheckpointError(f"{ref}: no such directory")
    return _download(ref, hub_id, weights=weights)


def local_directory(ref: ModelRef) -> Path | None:
    """The directory that a reference names on this machine, or None where it names something on the hub."""
    if ref.path.startswith("demo:"):
        base = _demo_directory(ref)
    else:
        found = local_path(ref.path)
        if found is None:
            return None
        if ref.revision is not None:
            raise CheckpointError(
                f"{ref}: {ref.path} is a local path and has no revisions; leave out @{ref.revision}"
            )
        base = found
    directory = base / ref.subfolder if ref.subfolder else base
    if not directory.is_dir():
        raise NoCheckpointError(f"{ref}: {directory} is not a directory; a checkpoint directory was expected")
    return directory


def _refuse_pipes(ref: ModelRef, directory: Path) -> None:
    """A pipe or a device in place of a file would be waited for, or read, without end."""
    try:
        for entry in directory.iterdir():
            if entry.exists() and not (entry.is_file() or entry.is_dir()):
                raise CheckpointError(
                    f"{ref}: {entry} is a pipe, a socket or a device; a checkpoint has regular files alone: "
                    "remove it"
                )
    except OSError as error:
        raise CheckpointError(f"{ref}: {directory} cannot be read: {error.strerror or error}") from None


def gguf_file(ref: ModelRef) -> Path | None:
    """The GGUF file that a reference names, here or from the hub (`FILE.gguf`, `DIR_OR_ID#FILE.gguf`); else
    None.

    Raises CheckpointError and NoCheckpointError as `resolve` does.
    """
    found = local_path(ref.path)
    file = None if found is None else found / ref.subfolder if ref.subfolder else found
    if file is not None and file.is_file():
        if ref.revision is not None:
            raise CheckpointError(f"{ref}: a local file has no revisions; leave out @{ref.revision}")
        return file
    if not named_gguf(ref) or (file is not None and file.is_dir()):
        return None
    if file is not None or ref.subfolder is None or ref.path.count("/") != 1:
        raise NoCheckpointError(f"{ref}: no such file")
    return _snapshot(ref, ref.path, [ref.subfolder], []) / ref.subfolder


def named_gguf(ref: ModelRef) -> bool:
    """Whether a reference ends as GGUF files do."""
    return (ref.subfolder or ref.path).lower().endswith(".gguf")


def released_id(name: str) -> str:
    """The hub id of a released name such as `qwen2.5-7b:av`; any other text is a hub id already."""
    pair, colon, part = name.partition(":")
    if not colon:
        return name
    pairs = named_pairs()
    if pair not in pairs or part not in PARTS:
        known = ", ".join(["demo", *pairs])
        raise CheckpointError(f"{name}: unknown name; NAME:target, NAME:av and NAME:ar exist for {known}")
    found = getattr(pairs[pair], part)
    return str(found if part == "target" else found[0])


def wanted_files(*, weights: bool = True, code: bool = False) -> tuple[str, ...]:
    """Patterns of the files that make a checkpoint: never pickles, and code only where it is asked for."""
    tensors = ("*.safetensors",) if weights else (HEAD_NAME, HEADS_NAME, WEIGHTS_NAME, AR_WEIGHTS, MEAN_NAME)
    return (*_SMALL_FILES, *tensors, *(("*.py",) if code else ()))


def _demo_directory(ref: ModelRef) -> Path:
    part = ref.path.removeprefix("demo:")
    if part not in DEMO_PARTS or ref.revision or ref.subfolder:
        known = ", ".join(f"demo:{name}" for name in DEMO_PARTS)
        raise CheckpointError(f"{ref}: the demo has {known}, without revisions or folders")
    folder = Path(__file__).resolve().parents[2] / "demo" / "pair" / part
    if not folder.is_dir():
        raise NoCheckpointError(
            f"{ref}: its files are not here: a working directory is sent to a cluster without them "
            "(.rayignore); send one that does not hold nla_ray, so that the installed package is used"
        )
    return folder


def _download(ref: ModelRef, hub_id: str, *, weights: bool) -> Path:
    prefix = f"{ref.subfolder}/" if ref.subfolder else ""
    wanted = wanted_files(weights=weights, code=ref.trust_remote_code)
    # `*` also matches a slash: without the second list, every sub-folder's pair would come along.
    directory = (
        _snapshot(ref, hub_id, [*_in_folder(prefix, wanted), *_above(ref.subfolder)], [f"{prefix}*/*"])
        / prefix
    )
    if not directory.is_dir():
        raise NoCheckpointError(f"{ref}: {hub_id} has no folder {ref.subfolder!r}")
    return directory


def _snapshot(ref: ModelRef, hub_id: str, allow: Sequence[str], ignore: Sequence[str]) -> Path:
    try:
        root = snapshot_download(
            hub_id, revision=ref.revision, allow_patterns=list(allow), ignore_patterns=list(ignore)
        )
    except HFValidationError:
        raise CheckpointError(f"{ref}: neither a directory nor a hub id (owner/name)") from None
    except (RevisionNotFoundError, GatedRepoError, RepositoryNotFoundError) as error:
        raise NoCheckpointError(f"{ref}: {_refusal(error)}") from None
    except (OfflineModeIsEnabled, LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise NoCheckpointError(
            f"{ref}: not a directory here, not in the download cache, and the hub cannot be reached "
            f"({type(error).__name__}); give a local directory or download it where there is a network"
        ) from None
    return Path(root)


def _in_folder(prefix: str, patterns: Sequence[str]) -> list[str]:
    return [f"{prefix}{pattern}" for pattern in patterns]


def _above(subfolder: str | None) -> list[str]:
    """The sidecar one level up, which describes every adapter of one training."""
    if subfolder is None:
        return []
    return [str(PurePosixPath(subfolder).parent / SIDECAR_NAME)]


def _refusal(error: HfHubHTTPError) -> str:
    if isinstance(error, GatedRepoError):
        return "a gated repository; accept its licence on the hub and log in with `hf auth login`"
    if isinstance(error, RevisionNotFoundError):
        return "the repository has no such revision"
    return "no such directory and no such repository on the hub (or it is private and you are not logged in)"
