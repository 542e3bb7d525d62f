"""From a model reference to a local directory: a path, the demo pair, a released name, or the hub."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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

from nla_ray.config.reference import ModelRef, local_path
from nla_ray.errors import CheckpointError, NoCheckpointError
from nla_ray.nla.model.weights import HEAD_NAME

PARTS = ("target", "av", "ar")
DEMO_PARTS = (*PARTS, "av-sft", "ar-sft")

_SMALL_FILES = ("*.json", "*.yaml", "*.txt", "*.model", "*.jinja")


@dataclass(frozen=True)
class ReleasedPair:
    """Hub ids of a published pair and of the model that it reads."""

    target: str
    av: str
    ar: str


RELEASED = {
    "qwen2.5-7b": ReleasedPair(
        "Qwen/Qwen2.5-7B-Instruct", "kitft/nla-qwen2.5-7b-L20-av", "kitft/nla-qwen2.5-7b-L20-ar"
    ),
    "gemma-3-12b": ReleasedPair(
        "google/gemma-3-12b-it", "kitft/nla-gemma3-12b-L32-av", "kitft/nla-gemma3-12b-L32-ar"
    ),
    "gemma-3-27b": ReleasedPair(
        "google/gemma-3-27b-it", "kitft/nla-gemma3-27b-L41-av", "kitft/nla-gemma3-27b-L41-ar"
    ),
    "llama-3.3-70b": ReleasedPair(
        "meta-llama/Llama-3.3-70B-Instruct",
        "kitft/Llama-3.3-70B-NLA-L53-av",
        "kitft/Llama-3.3-70B-NLA-L53-ar",
    ),
}
"""Published pairs by name, as their authors list them: `NAME:target`, `NAME:av`, `NAME:ar`."""


def resolve(ref: ModelRef, *, weights: bool = True) -> Path:
    """The local directory of a checkpoint; from the hub, safetensors and small files, never pickles.

    Without `weights`, only the small files come from the hub, and a reconstructor's value head.
    Raises NoCheckpointError in one line when there is no such directory or repository, or no way to reach it.
    """
    local = local_directory(ref)
    if local is not None:
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
    if pair not in RELEASED or part not in PARTS:
        known = ", ".join(["demo", *RELEASED])
        raise CheckpointError(f"{name}: unknown name; NAME:target, NAME:av and NAME:ar exist for {known}")
    hub_id: str = getattr(RELEASED[pair], part)
    return hub_id


def wanted_files(*, weights: bool = True, code: bool = False) -> tuple[str, ...]:
    """Patterns of the files that make a checkpoint: never pickles, and code only where it is asked for."""
    return (*_SMALL_FILES, "*.safetensors" if weights else HEAD_NAME, *(("*.py",) if code else ()))


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
    directory = _snapshot(ref, hub_id, _in_folder(prefix, wanted), [f"{prefix}*/*"]) / prefix
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


def _refusal(error: HfHubHTTPError) -> str:
    if isinstance(error, GatedRepoError):
        return "a gated repository; accept its licence on the hub and log in with `hf auth login`"
    if isinstance(error, RevisionNotFoundError):
        return "the repository has no such revision"
    return "no such directory and no such repository on the hub (or it is private and you are not logged in)"
