"""From a GGUF file to a checkpoint folder in Hugging Face format: weights unpacked tensor by tensor."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from transformers import GenerationConfig, PreTrainedConfig

from nla_ray.errors import CheckpointError
from nla_ray.nla.model.backbone import alone
from nla_ray.nla.model.files.weights import INDEX_NAME, write_tensors
from nla_ray.nla.model.gguf.config import Tensor, config_of, tensors_of
from nla_ray.nla.model.gguf.header import GgufFile, package, values_of
from nla_ray.nla.model.gguf.tokenizer import stop_ids, tokenizer_of

_SHARD_BYTES = 4 << 30


def convert(file: GgufFile, folder: Path) -> None:
    """Write the checkpoint that an opened GGUF file holds into an empty folder.

    Matrices of quantised files become float16, which adds at most 1 in 2,000 to what the quantisation has
    already rounded away; files of bfloat16 or float32 keep their type. Memory: one shard and one tensor.
    Raises CheckpointError as `config_of`, `tensors_of` and `tokenizer_of` do, before a weight is read; and
    for a tensor with values that are not finite. InputError where there is no room.
    """
    with alone(), warnings.catch_warnings():
        # What numpy and transformers warn of in a damaged file is refused here, in one line.
        warnings.simplefilter("ignore")
        _convert(file, folder)


def _convert(file: GgufFile, folder: Path) -> None:
    config = config_of(file)
    tensors = tensors_of(file, config)
    tokenizer = tokenizer_of(file)
    config.dtype = dtype_of(file, tensors)
    config.architectures = [_class_name(config)]
    config.save_pretrained(folder)
    GenerationConfig(  # type: ignore[no-untyped-call]
        bos_token_id=config.bos_token_id,
        eos_token_id=stop_ids(file) or None,
        pad_token_id=config.pad_token_id,
    ).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    _write_weights(file, tensors, config.dtype, folder)


def dtype_of(file: GgufFile, tensors: dict[str, Tensor]) -> torch.dtype:
    """The type of the matrices where they have one that torch has, else float16."""
    kinds = package(file.path).GGMLQuantizationType
    found = {file.tensors[name].tensor_type for name, one in tensors.items() if len(one.shape) > 1}
    if not found <= {kinds.F32, kinds.BF16}:
        return torch.float16
    return torch.float32 if kinds.F32 in found else torch.bfloat16


def _class_name(config: PreTrainedConfig) -> str:
    return type(config).__name__.removesuffix("Config") + "ForCausalLM"


def _write_weights(file: GgufFile, tensors: dict[str, Tensor], dtype: torch.dtype, folder: Path) -> None:
    written: dict[str, str] = {}
    for number, shard in enumerate(_shards(file, tensors, dtype), start=1):
        name = f"model-{number:05d}.safetensors"
        write_tensors(shard, folder / name)
        written |= dict.fromkeys(shard, name)
    (folder / INDEX_NAME).write_text(json.dumps({"metadata": {}, "weight_map": written}, indent=1))


def _shards(
    file: GgufFile, tensors: dict[str, Tensor], dtype: torch.dtype
) -> Iterator[dict[str, torch.Tensor]]:
    shard: dict[str, torch.Tensor] = {}
    size = 0
    for name, one in tensors.items():
        tensor = torch.from_numpy(_in_order(values_of(file, name), one.heads)).to(dtype).contiguous()
        if not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(
                f"{file.path}: {name}: NaN, Inf or values beyond {dtype}; the file is damaged: download "
                "it again"
            )
        if shard and size + tensor.nbytes > _SHARD_BYTES:
            yield shard
            shard, size = {}, 0
        shard[one.name] = tensor
        size += tensor.nbytes
    yield shard


def _in_order(values: np.ndarray, heads: int | None) -> np.ndarray:
    """Rows of a projection as transformers has them; see `_of_block`."""
    if heads is None:
        return values
    pairs = values.reshape(heads, -1, 2, *values.shape[1:])
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(values.shape)
