"""Safetensors, lazily: names, shapes and dtypes from the headers, tensor data only when it is asked for."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from nla_ray.errors import CheckpointError, InputError
from nla_ray.nla.model.adapters.view import bottom_of
from nla_ray.nla.sidecar.dialects.seen import ADAPTER_CONFIG
from nla_ray.nla.sidecar.dialects.seen import HEAD_NAME as HEAD_NAME

if TYPE_CHECKING:
    # It takes seconds to load, and what is refused by names and headers is refused without it.
    import torch

INDEX_NAME, SINGLE_NAME = "model.safetensors.index.json", "model.safetensors"
MEAN_NAME = "injection_mean.safetensors"

FORMAT = {"format": "pt"}

# A value whose square is not finite in float32 makes every norm, cosine and score after it NaN.
LARGEST = math.sqrt((2 - 2**-23) * 2.0**127)
_SLICE_BYTES = 32 << 20
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


@dataclass(frozen=True)
class TensorInfo:
    """What a header says about one tensor; `dtype` is safetensors' name for it (`BF16`, `F32`)."""

    file: Path
    shape: tuple[int, ...]
    dtype: str


def write_tensors(tensors: Mapping[str, torch.Tensor], file: Path) -> None:
    """Write one file; tensors may be views of one another. Raises InputError where it cannot be written."""
    from safetensors.torch import save_file

    try:
        save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, file, FORMAT)
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"{file}: cannot be written: {error}; is its folder there, and has it room?"
        ) from None


class SafetensorsDir:
    """The tensors of a checkpoint directory: one `model.safetensors`, or the shards of its index.

    With `file`, that one file instead (`value_head.safetensors`). With `partial`, shards that the index names
    may be missing: their tensors have a name and no header. Opening reads headers only. The tensors of an
    adapter's view are those of its base.
    Raises CheckpointError for missing or unreadable files, pickle-only weights and adapters.
    """

    def __init__(self, directory: Path, *, file: str | None = None, partial: bool = False) -> None:
        self.directory = bottom_of(directory) if file is None else Path(directory)
        self.headers: dict[str, TensorInfo] = {}
        self._names: set[str] = set()
        for path, expected in self._files(file).items():
            self._names |= expected
            if partial and not path.exists():
                continue
            found = dict(_headers(path))
            if expected - found.keys():
                missing = min(expected - found.keys())
                raise CheckpointError(f"{path}: {missing!r} is not in it; download it again")
            self.headers |= found
        self._names |= self.headers.keys()

    @property
    def names(self) -> tuple[str, ...]:
        """All tensor names, sorted."""
        return tuple(sorted(self._names))

    def info(self, name: str) -> TensorInfo:
        """The header of one tensor."""
        if name not in self.headers:
            raise CheckpointError(f"{self.directory}: no tensor {name!r} in its safetensors files")
        return self.headers[name]

    def tensor(self, name: str) -> torch.Tensor:
        """One tensor, as it is stored."""
        with _opened(self.info(name).file) as file:
            tensor: torch.Tensor = file.get_tensor(name)
        return tensor

    def check_finite(self, name: str) -> None:
        """Refuse a tensor with NaN, Inf or overflowing values, by name; streams it in slices of rows."""
        bad = rows = 0
        for part in self._row_slices(name):
            flat = part.reshape(part.shape[0], -1).float()
            rows += flat.shape[0]
            bad += int((~(flat.abs() < LARGEST)).any(dim=1).sum())
        if bad:
            raise CheckpointError(
                f"{self.info(name).file}: {name}: {bad} of {rows} rows hold NaN, Inf or values beyond "
                f"{LARGEST:.1e}; the file is corrupt: download it again or use another revision"
            )

    def _row_slices(self, name: str) -> Iterator[torch.Tensor]:
        info = self.info(name)
        if not info.shape:
            yield self.tensor(name).reshape(1)
            return
        step = max(1, _SLICE_BYTES // (8 * max(1, math.prod(info.shape[1:]))))
        with _opened(info.file) as file:
            view = file.get_slice(name)
            for start in range(0, info.shape[0], step):
                yield view[start : start + step]

    def _files(self, file: str | None) -> dict[Path, set[str]]:
        """Each file that belongs to the checkpoint, with the tensor names that its index promises."""
        index = self.directory / INDEX_NAME
        if file is None and index.exists():
            return _read_index(index)
        path = self.directory / (file or SINGLE_NAME)
        if path.exists():
            return {path: set()}
        raise CheckpointError(f"{self.directory}: no {path.name}; {_instead(self.directory)}")


def read_mean(directory: Path, d_model: int) -> torch.Tensor:
    """What a centred injection subtracts: `mean` [d] of the training vectors, float32.

    Raises CheckpointError where there is no such file, for another shape, NaN and Inf.
    """
    path = Path(directory) / MEAN_NAME
    if not path.exists():
        raise CheckpointError(
            f"{directory}: no {MEAN_NAME}, and a centred injection subtracts the mean of the training "
            f"vectors: put it there as a tensor `mean` [{d_model}], or say an injection that is not centred"
        )
    stored = SafetensorsDir(directory, file=MEAN_NAME)
    shape = stored.info("mean").shape
    if shape != (d_model,):
        raise CheckpointError(f"{path}: mean has shape {list(shape)}; [{d_model}] was expected")
    stored.check_finite("mean")
    return stored.tensor("mean").float()


def _read_index(index: Path) -> dict[Path, set[str]]:
    try:
        weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        files: dict[Path, set[str]] = {}
        for name, shard in weight_map.items():
            if Path(shard).name != shard:
                raise ValueError(f"shard {shard!r} is not a plain file name")
            files.setdefault(index.parent / shard, set()).add(name)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{index}: not a safetensors index: {type(error).__name__}: {error}") from None
    return files


def _headers(path: Path) -> Iterator[tuple[str, TensorInfo]]:
    with _opened(path) as file:
        for name in file.keys():  # noqa: SIM118 - not a mapping
            view = file.get_slice(name)
            yield name, TensorInfo(path, tuple(view.get_shape()), str(view.get_dtype()))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; the download is not complete") from None
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not readable as safetensors: {error}; download it again") from None


def _instead(directory: Path) -> str:
    """What to do about a directory without safetensors weights."""
    if (directory / ADAPTER_CONFIG).exists():
        return "this is an adapter (LoRA): name it with its base, ADAPTER on BASE"
    if any(next(directory.glob(pattern), None) for pattern in _PICKLES):
        return "its weights are pickles, which can run code when loaded: convert them to safetensors"
    return "only safetensors weights are read"
