"""An adapter and its base as one local directory of links, which loaders read as any checkpoint."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nla_ray.cache import cache_folder
from nla_ray.errors import CheckpointError, InputError
from nla_ray.ids import digest

CONFIG_NAME, WEIGHTS_NAME = "adapter_config.json", "adapter_model.safetensors"
_ADAPTER, _BASE = "adapter", "base"
_SIDECAR = "nla_meta.yaml"
_WHOLE = ("model.safetensors", "model.safetensors.index.json")

_TOKENIZER = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tekken.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
_VOCABULARIES = frozenset(_TOKENIZER[:4]) | {"tekken.json"}
_TEMPLATES = ("chat_template.jinja", "chat_template.json")
_HEAD = "value_head.safetensors"


@dataclass(frozen=True)
class Layers:
    """The two directories behind a view."""

    adapter: Path
    base: Path


def is_adapter(directory: Path) -> bool:
    """Whether a directory is an adapter; with a whole model beside it, it may be merged into that already."""
    if not (directory / CONFIG_NAME).exists() or any((directory / name).exists() for name in _WHOLE):
        return False
    return (directory / WEIGHTS_NAME).exists() or not (directory / "config.json").exists()


def make_view(adapter: Path, base: Path) -> Path:
    """The view of an adapter over a base (or over a view), made in the cache where it is not there.

    Files of the adapter win over those of the base, tokenizer files as one set. Links are named by what
    they lead to: another set of files is another view. Raises CheckpointError for a directory that is no
    adapter, InputError where the cache cannot be written to.
    """
    adapter, base = adapter.absolute(), base.absolute()
    if not (adapter / CONFIG_NAME).is_file():
        raise CheckpointError(
            f"{adapter}: no {CONFIG_NAME}: ADAPTER on BASE names an adapter in the form of peft, and then "
            "the model that it was trained over"
        )
    links = dict(_links(adapter, base))
    home = _views() / digest(*(part for name in sorted(links) for part in (name, links[name])))[:32]
    view = home / adapter.name
    if _whole(view, links):
        return view
    try:
        _make(home, adapter.name, links)
    except OSError as error:
        raise InputError(
            f"{home.parent}: cannot keep a view of {adapter}: {error.strerror or error}; "
            "name another folder in NLA_RAY_CACHE"
        ) from None
    return view


def layers_of(directory: Path | str) -> Layers | None:
    """The directories behind a view of this machine's cache; None for any other directory.

    Links that come with a checkpoint are never taken for these.
    """
    path = Path(directory).absolute()
    if path.parent.parent != _views() or not (path / _BASE).is_symlink():
        return None
    return Layers(*((path / name).readlink() for name in (_ADAPTER, _BASE)))


def bottom_of(directory: Path | str) -> Path:
    """The model under all adapters; a directory that is no view is its own."""
    layers = layers_of(directory)
    return Path(directory) if layers is None else bottom_of(layers.base)


def views_on(directory: Path | str) -> tuple[Path, ...]:
    """The views from the lowest adapter up to a directory: the order in which they are merged."""
    layers = layers_of(directory)
    return () if layers is None else (*views_on(layers.base), Path(directory))


def sidecar_of(adapter: Path) -> Path | None:
    """The adapter's own sidecar, or that of its training, which stands one level up."""
    places = (adapter / _SIDECAR, adapter.parent / _SIDECAR)
    return next((file for file in places if file.is_file()), None)


def _links(adapter: Path, base: Path) -> Iterator[tuple[str, Path]]:
    yield _ADAPTER, adapter
    yield _BASE, base
    own = {file.name: file for file in adapter.iterdir() if file.is_file()}
    below = {file.name: file for file in base.iterdir() if file.is_file()}
    yield from ((name, own[name]) for name in (CONFIG_NAME, WEIGHTS_NAME, _HEAD) if name in own)
    if (sidecar := sidecar_of(adapter) or below.get(_SIDECAR)) is not None:
        yield _SIDECAR, sidecar
    yield from _tokenizer(own, below).items()
    # Only a reconstructor has fewer blocks than its base.
    config = own if _HEAD in own and "config.json" in own else below
    yield from ((name, config[name]) for name in ("config.json",) if name in config)
    of_base = ("generation_config.json", *(name for name in below if name.endswith(".py")))
    yield from ((name, below[name]) for name in of_base if name in below)


def _tokenizer(own: dict[str, Path], below: dict[str, Path]) -> dict[str, Path]:
    """The adapter's tokenizer, else the base's; the base's chat template where the adapter has none."""
    has_own = bool(_VOCABULARIES & own.keys())
    files = own if has_own else below
    found = {name: files[name] for name in _TOKENIZER if name in files}
    if any(name in own for name in _TEMPLATES):
        return found | {name: own[name] for name in _TEMPLATES if name in own}
    if has_own and _says_template(own.get("tokenizer_config.json")):
        return found
    return found | {name: below[name] for name in _TEMPLATES if name in below}


def _says_template(file: Path | None) -> bool:
    """Whether a tokenizer's configuration holds a chat template, which a file beside it would win over."""
    try:
        return file is not None and "chat_template" in json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False


def _views() -> Path:
    return cache_folder().absolute() / "adapters"


def _whole(view: Path, links: dict[str, Path]) -> bool:
    try:
        return all((view / name).readlink() == target for name, target in links.items())
    except OSError:
        return False


def _make(home: Path, name: str, links: dict[str, Path]) -> None:
    part = home.with_name(f".{uuid.uuid4().hex}.part")
    try:
        (part / name).mkdir(parents=True)
        for file, target in links.items():
            (part / name / file).symlink_to(target)
        if home.exists() and not _whole(home / name, links):
            shutil.rmtree(home)
        try:
            part.rename(home)
        except OSError:
            # Another process was first: what it made is the same, for its name says what is in it.
            if not _whole(home / name, links):
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
