"""What a GGUF file says before a weight is read: metadata, names, shapes and types of its tensors."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nla_ray.errors import CheckpointError, NoCheckpointError

if TYPE_CHECKING:
    from gguf import ReaderTensor

MAGIC = b"GGUF"
VERSION = 1
"""Of what a conversion writes: another one is another folder of the cache."""

ARCHITECTURES = ("llama", "qwen2", "qwen3")
"""What is converted, by llama.cpp's names. A Mistral is saved as `llama`."""


@dataclass(frozen=True)
class GgufFile:
    """An opened file: its metadata by key, and its tensors by name, whose data are still on disk."""

    path: Path
    fields: dict[str, Any]
    tensors: dict[str, ReaderTensor]

    @property
    def architecture(self) -> str:
        """llama.cpp's name of the architecture."""
        return str(self.fields["general.architecture"])

    def of(self, key: str, kind: type, default: Any = None) -> Any:
        """A metadata value of a kind. Raises CheckpointError: it is missing or of another kind."""
        value = self.fields.get(key, default)
        if isinstance(value, int) and kind is float:
            value = float(value)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise CheckpointError.field(
                self.path,
                key,
                short(value),
                f"{kind.__name__} was expected; the file is damaged or not a model",
            )
        return value

    def positive(self, key: str, default: float | None = None) -> float:
        """A number above 0, and finite. Raises CheckpointError: it is none."""
        value = float(self.of(key, float, default))
        if not 0 < value < math.inf:
            raise CheckpointError.field(self.path, key, value, "a positive number was expected")
        return value

    def listed(self, key: str, kind: type) -> list[Any]:
        """A list of values of one kind. Raises CheckpointError: it is missing or something else."""
        values: list[Any] = self.of(key, list)
        odd = next((one for one in values if type(one) is not kind), None)
        if odd is not None:
            raise CheckpointError.field(
                self.path, key, short(odd), f"{kind.__name__} was expected; the file is damaged"
            )
        return values


def open_gguf(path: Path) -> GgufFile:
    """Open a GGUF file of a whole model; its header alone is read.

    Raises CheckpointError for a missing package, a damaged file, a part of a split one, an adapter, another
    architecture, tensors of a type that cannot be unpacked, and tensors that lie over one another.
    """
    require_gguf(path)
    gguf = package(path)
    with _damage(path):
        reader = gguf.GGUFReader(path)
        fields = {key: field.contents() for key, field in reader.fields.items()}
        tensors = {tensor.name: tensor for tensor in reader.tensors}
    _check_kind(path, fields)
    _check_types(path, tensors)
    _check_apart(path, tensors)
    return GgufFile(path, fields, tensors)


def short(value: Any) -> Any:
    """A value as a message shows it; a list may have as many entries as the vocabulary."""
    return (
        f"{len(value)} values" if isinstance(value, list) else value[:80] if isinstance(value, str) else value
    )


def package(path: Path) -> Any:
    """The package that reads GGUF files. Raises CheckpointError where it is not installed."""
    try:
        import gguf
    except ImportError:
        raise CheckpointError(
            f"{path}: a GGUF file; the package gguf reads it and is not installed: pip install "
            "'nla-ray[gguf]'"
        ) from None
    return gguf


def values_of(file: GgufFile, name: str) -> np.ndarray:
    """A copy of one tensor, unpacked, float32, as torch shapes it."""
    tensor = file.tensors[name]
    return np.array(package(file.path).dequantize(tensor.data, tensor.tensor_type), np.float32)


def shape_of(tensor: ReaderTensor) -> tuple[int, ...]:
    """The shape as torch has it; a GGUF file names the fastest axis first."""
    return tuple(int(size) for size in reversed(tensor.shape))


def require_gguf(path: Path) -> None:
    """Raise CheckpointError unless a file begins as GGUF does and the package that reads it is there."""
    try:
        with path.open("rb") as file:
            start = file.read(len(MAGIC))
    except FileNotFoundError:
        raise NoCheckpointError(f"{path}: no such file") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from None
    if start != MAGIC:
        raise CheckpointError(
            f"{path}: a file that is not GGUF (it begins with {start!r}); a model is a directory in "
            "Hugging Face "
            "format or a GGUF file"
        )
    package(path)


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """A file that is cut off or spoilt fails in the reader at whatever it meets first, which may warn too."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:
        raise CheckpointError(
            f"{path}: not a whole GGUF file: {type(error).__name__}: {str(error)[:200]}; download it again"
        ) from error


def _check_kind(path: Path, fields: dict[str, Any]) -> None:
    if "general.architecture" not in fields:
        raise CheckpointError(f"{path}: a GGUF file without general.architecture: it holds no model")
    if fields.get("general.type", "model") != "model":
        raise CheckpointError(
            f"{path}: a GGUF file of type {fields['general.type']!s:.40}, not a whole model; name a model, "
            "or merge "
            "an adapter into its base first"
        )
    parts = fields.get("split.count", 1)
    if parts not in (0, 1):
        raise CheckpointError(
            f"{path}: one of {parts} parts of a split GGUF file; join them first (llama-gguf-split --merge)"
        )
    if (arch := fields["general.architecture"]) not in ARCHITECTURES:
        raise CheckpointError(
            f"{path}: general.architecture: found {str(arch)[:40]!r}; converted are "
            f"{', '.join(ARCHITECTURES)}: use the original checkpoint in Hugging Face format"
        )


def _check_types(path: Path, tensors: dict[str, ReaderTensor]) -> None:
    """Every type must be one that the package unpacks: one block of zeros of each tells."""
    gguf = package(path)
    for kind in sorted({tensor.tensor_type for tensor in tensors.values()}):
        _, size = gguf.GGML_QUANT_SIZES[kind]
        try:
            gguf.dequantize(np.zeros((1, size), np.uint8), kind)
        except NotImplementedError:
            first = next(name for name, tensor in tensors.items() if tensor.tensor_type == kind)
            raise CheckpointError(
                f"{path}: {first}: quantised as {gguf.GGMLQuantizationType(kind).name}, which the package "
                "gguf "
                "cannot unpack; use another quantisation of the same model"
            ) from None


def _check_apart(path: Path, tensors: dict[str, ReaderTensor]) -> None:
    """One tensor's values would be taken for another's too, and nothing later would notice."""
    for one, other in pairwise(sorted(tensors.values(), key=lambda one: int(one.data_offset))):
        if int(one.data_offset) + int(one.n_bytes) > int(other.data_offset):
            raise CheckpointError(
                f"{path}: {one.name} and {other.name} lie over one another; the file is damaged: download it "
                "again"
            )
