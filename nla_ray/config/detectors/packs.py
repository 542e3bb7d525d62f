"""Detector packs from YAML files: strict, with file, line and field in every refusal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from nla_ray.config.base import Config
from nla_ray.config.detectors.model import Artefact, Detector, Pack
from nla_ray.config.loading.lines import OverlookedError, line_of, strict
from nla_ray.config.loading.load import NOT_YAML, S3, Read, explain
from nla_ray.contract import contract
from nla_ray.errors import ConfigError, NoFileError

MOST_BYTES = 1 << 20
"""Of one pack file."""


@dataclass(frozen=True)
class Remote:
    """How packs of S3 are read: the URLs that a file or a folder there means, and the content of one."""

    files: Callable[[str], Sequence[str]]
    read: Read


class Packs(Config):
    """Packs that are used together, in the order in which they were named."""

    packs: tuple[Pack, ...]

    @property
    def detectors(self) -> tuple[Detector, ...]:
        """All detectors."""
        return tuple(detector for pack in self.packs for detector in pack.detectors)

    @property
    def artefacts(self) -> tuple[Artefact, ...]:
        """The denylist: what to mark as written whatever was read."""
        return tuple(artefact for pack in self.packs for artefact in pack.artefacts)

    def only(self, ids: Iterable[str]) -> Packs:
        """The same with these detectors alone. Raises ConfigError for an unknown one."""
        wanted = set(ids)
        if unknown := sorted(wanted - {detector.id for detector in self.detectors}):
            there = ", ".join(detector.id for detector in self.detectors)
            raise ConfigError(f"detector {unknown[0]}: there is none of this id; there are {there}")
        return Packs(
            packs=tuple(
                pack.model_copy(update={"detectors": tuple(d for d in pack.detectors if d.id in wanted)})
                for pack in self.packs
            )
        )


def shipped() -> Path:
    """The folder of the packs that come with nla_ray."""
    return contract("detectors")


def load_packs(paths: Sequence[Path | str] = (), remote: Remote | None = None) -> Packs:
    """Packs from YAML files, or folders of them; without paths the shipped ones. `remote` reads `s3://`.

    Raises NoFileError; ConfigError that names file, line and field: not YAML, an unknown key, a pattern that
    RE2 refuses, an id that occurs twice.
    """
    found = [file for path in paths or (shipped(),) for file in _files(path, remote)]
    packs = tuple(load_pack(file, remote) for file in found)
    seen: dict[str, Path | str] = {}
    for file, pack in zip(found, packs, strict=True):
        for name in [one.id for one in pack.detectors] + [one.id for one in pack.artefacts]:
            if name in seen:
                raise ConfigError(f"{file}: id {name} is also in {seen[name]}; give each its own")
            seen[name] = file
    return Packs(packs=packs)


def load_pack(file: Path | str, remote: Remote | None = None) -> Pack:
    """One pack. Raises ConfigError as `load_packs` does."""
    text = _text(file, remote)
    try:
        values = strict(text)
    except OverlookedError as error:
        raise ConfigError(f"{file}:{error.line}: {error.what}") from None
    except NOT_YAML as error:
        raise ConfigError(f"{file}{_mark(error)}: not YAML: {error}") from None
    try:
        return Pack.model_validate(values)
    except ValidationError as error:
        problem, path = explain(error, Pack)
        raise ConfigError(f"{file}:{line_of(text, path) or 1}: {problem}") from None


def _files(path: Path | str, remote: Remote | None) -> Sequence[Path | str]:
    found: Sequence[Path | str]
    if remote is not None and str(path).startswith(S3):
        found = [file for file in remote.files(str(path)) if file == path or file.endswith(".yaml")]
    elif not Path(path).is_dir():
        return [path]
    else:
        found = sorted(Path(path).glob("*.yaml"))
    if not found:
        raise ConfigError(f"{path}: holds no detector pack (*.yaml)")
    return found


def _text(file: Path | str, remote: Remote | None) -> str:
    try:
        if remote is not None and str(file).startswith(S3):
            data = remote.read(str(file))
        else:
            data = Path(file).read_bytes()
        if len(data) > MOST_BYTES:
            raise ConfigError(f"{file}: {len(data)} bytes are too many for a pack; at most {MOST_BYTES}")
        return data.decode()
    except OSError as error:
        kind = NoFileError if isinstance(error, FileNotFoundError) else ConfigError
        raise kind(f"{file}: cannot read this detector pack: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: not YAML: {error}") from None


def _mark(error: Exception) -> str:
    """The line of a YAML error, as the suffix of a file's name."""
    mark = getattr(error, "problem_mark", None)
    return f":{mark.line + 1}" if mark is not None else ""
