"""An adapter and its base as one local directory of links, which loaders read as any checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nla_ray.cache import cache_folder, made_once, writing
from nla_ray.ids import digest
from nla_ray.nla.model.adapters.contents import Files, contents_of
from nla_ray.text import as_given, call

_ADAPTER, _BASE = "adapter", "base"


@dataclass(frozen=True)
class Layers:
    """The two directories behind a view."""

    adapter: Path
    base: Path


def make_view(adapter: Path, base: Path) -> Path:
    """The view of an adapter over a base (or over a view), made in the cache where it is not there.

    It is named by what its links lead to: another set of files is another view. Raises CheckpointError as
    `contents_of` does, InputError where the cache cannot be written to.
    """
    adapter, base = adapter.absolute(), base.absolute()
    contents = contents_of(adapter, base)
    files = contents | {_ADAPTER: adapter, _BASE: base}
    home = _views() / digest(*(part for name in sorted(files) for part in (name, files[name])))[:32]

    def make(part: Path) -> None:
        with writing(home.parent):
            _fill(part / adapter.name, files)

    view = made_once(home, make, lambda home: _whole(home / adapter.name, files)) / adapter.name
    call(view, as_given(f"{adapter} on {base}"))
    for name, file in contents.items():
        call(view / name, as_given(str(file)))
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


def _views() -> Path:
    return cache_folder().absolute() / "adapters"


def _whole(view: Path, files: Files) -> bool:
    try:
        return all((view / name).readlink() == found for name, found in files.items())
    except OSError:
        return False


def _fill(view: Path, files: Files) -> None:
    view.mkdir()
    for name, found in files.items():
        (view / name).symlink_to(found)
