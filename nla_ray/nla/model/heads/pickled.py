"""A value head out of a pickle, which is read as tensors alone: no code in it is run."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch

from nla_ray.errors import CheckpointError, NoCheckpointError
from nla_ray.nla.model.files.weights import HEAD_NAME, LARGEST, write_tensors
from nla_ray.nla.model.heads.head import HEADS_NAME

_MOST_BYTES = 16 << 30
"""Heads in float32 of every block of a model of 80 blocks and width 7,000."""

_BLOCK = re.compile(r"(?:value_heads?\.)?(\d+)(?:\.weight)?")


def convert(source: Path, directory: Path) -> Path:
    """Write the head in `source` to `directory`, and give the file's path; nothing is overwritten.

    Heads of several blocks, by number, become one file of them. Raises CheckpointError for a pickle of
    anything but tensors, for tensors that make no head, and where there is a head already; InputError where
    it cannot be written.
    """
    tensors = _read(source)
    head = {name.rpartition(".")[2]: tensor for name, tensor in tensors.items()}
    blocks = [_BLOCK.fullmatch(name) for name in tensors]
    if len(head) == len(tensors) and set(head) in ({"weight"}, {"weight", "bias"}):
        written, name = head, HEAD_NAME
    elif tensors and all(blocks):
        numbers = [int(match[1]) for match in blocks if match]
        if len(set(numbers)) < len(numbers):
            raise CheckpointError(f"{source}: holds two heads of one block: {', '.join(sorted(tensors)[:4])}")
        written = dict(zip((f"value_head.{k}.weight" for k in numbers), tensors.values(), strict=True))
        name = HEADS_NAME
    else:
        raise CheckpointError(
            f"{source}: holds {', '.join(sorted(tensors)[:4]) or 'nothing'}; weight [d, d] and bias [d] of a "
            "head were expected"
        )
    _check(source, written)
    file = directory / name
    if file.exists():
        raise CheckpointError(f"{file}: is there already, and is not overwritten; move it away")
    write_tensors(written, file)
    return file


def _read(source: Path) -> dict[str, torch.Tensor]:
    if not source.is_file():
        raise NoCheckpointError(
            f"{source}: no such file; a pickled head, such as linear_head.pt, was expected"
        )
    _check_size(source)
    try:
        loaded = torch.load(source, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise CheckpointError(
            f"{source}: holds more than tensors, and what else is in a pickle can run code; it is not read: "
            "ask its publisher for safetensors"
        ) from None
    # A file that is no pickle fails in any way.
    except Exception as error:
        raise CheckpointError(
            f"{source}: cannot be read: {type(error).__name__}: {str(error)[:200]}"
        ) from error
    if not isinstance(loaded, Mapping) or not all(isinstance(one, torch.Tensor) for one in loaded.values()):
        raise CheckpointError(f"{source}: tensors by name were expected")
    return {str(name): tensor.detach() for name, tensor in loaded.items()}


def _check_size(source: Path) -> None:
    """A pickle is read whole, and a small file may be packed zeros without end."""
    size = source.stat().st_size
    if zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as packed:
            size = max(size, sum(one.file_size for one in packed.infolist()))
    if size > _MOST_BYTES:
        raise CheckpointError(
            f"{source}: holds {size:,} bytes, and heads have at most {_MOST_BYTES:,}; name the file of the "
            "head alone"
        )


def _check(source: Path, head: Mapping[str, torch.Tensor]) -> None:
    for name, tensor in head.items():
        square = tensor.ndim == 2 and tensor.shape[0] == tensor.shape[1] > 0
        if not square and not (name == "bias" and tensor.ndim == 1):
            raise CheckpointError(f"{source}: {name} has shape {list(tensor.shape)}; [d, d] was expected")
        if not tensor.is_floating_point() or not bool((tensor.float().abs() < LARGEST).all()):
            raise CheckpointError(f"{source}: {name} holds NaN, Inf or no numbers; the file is corrupt")
    if "bias" in head and head["bias"].shape[0] != head["weight"].shape[0]:
        raise CheckpointError(f"{source}: bias and weight are of different widths")
