"""Tiny checkpoints as GGUF files, written as llama.cpp's converter writes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from safetensors.torch import load_file
from transformers import AutoConfig

from tests.tiny import tiny_checkpoint

_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
ARCHITECTURES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}


def tiny_gguf(
    folder: Path,
    family: str = "qwen2",
    kind: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.F32,
    *,
    config: dict[str, Any] | None = None,
    change: Callable[[gguf.GGUFWriter], None] | None = None,
    without: str = "nothing",
) -> tuple[Path, Path]:
    """A random model as (checkpoint folder, GGUF file); further arguments as `write_gguf` has them."""
    checkpoint = tiny_checkpoint(family, folder / "checkpoint", config=config)
    path = folder / "tiny.gguf"
    write_gguf(checkpoint, path, family, kind, change=change, without=without)
    return checkpoint, path


def write_gguf(
    checkpoint: Path,
    path: Path,
    family: str = "qwen2",
    kind: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.F32,
    *,
    change: Callable[[gguf.GGUFWriter], None] | None = None,
    without: str = "nothing",
) -> None:
    """A checkpoint as a GGUF file; `change` adds to the file, keys with `without` in them are left out."""
    writer = gguf.GGUFWriter(path, ARCHITECTURES[family])
    for key, add in _metadata(checkpoint, ARCHITECTURES[family]).items():
        if without not in key:
            add(writer, key)
    for name, tensor in load_file(checkpoint / "model.safetensors").items():
        _add_tensor(writer, _name(name), _sorted(family, name, tensor, checkpoint), kind)
    if change is not None:
        change(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _metadata(checkpoint: Path, arch: str) -> dict[str, Callable[[gguf.GGUFWriter, str], None]]:
    config = AutoConfig.from_pretrained(checkpoint)
    tokenizer = json.loads((checkpoint / "tokenizer.json").read_text())
    said = json.loads((checkpoint / "tokenizer_config.json").read_text())
    vocabulary = dict(tokenizer["model"]["vocab"])
    added = {one["content"]: one["id"] for one in tokenizer["added_tokens"]}
    tokens = sorted(vocabulary | added, key=lambda token: (vocabulary | added)[token])
    merges = [one if isinstance(one, str) else " ".join(one) for one in tokenizer["model"]["merges"]]
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    numbers = {
        "context_length": config.max_position_embeddings,
        "block_count": config.num_hidden_layers,
        "embedding_length": config.hidden_size,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": config.num_attention_heads,
        "attention.head_count_kv": config.num_key_value_heads,
        "rope.dimension_count": head,
        "attention.key_length": head,
    }
    ids = {name: added.get(str(said.get(f"{name}_token"))) for name in ("bos", "eos", "pad")}
    special = {"bos": ids["bos"], "eos": ids["eos"], "padding": ids["pad"], "eot": ids["pad"]}
    texts = {"model": "gpt2", "pre": "qwen2"}
    lists = {"tokens": tokens, "merges": merges, "token_type": [3 if one in added else 1 for one in tokens]}
    found = {f"{arch}.{key}": _uint(value) for key, value in numbers.items()}
    found[f"{arch}.attention.layer_norm_rms_epsilon"] = _float(config.rms_norm_eps)
    found[f"{arch}.rope.freq_base"] = _float(config.rope_parameters["rope_theta"])
    found |= {
        f"tokenizer.ggml.{name}_token_id": _uint(one) for name, one in special.items() if one is not None
    }
    found |= {f"tokenizer.ggml.{name}": _text(one) for name, one in texts.items()}
    found |= {f"tokenizer.ggml.{name}": _array(one) for name, one in lists.items()}
    found["tokenizer.ggml.add_bos_token"] = lambda writer, key: writer.add_bool(key, ids["bos"] is not None)
    template = (checkpoint / "chat_template.jinja").read_text()
    found["tokenizer.chat_template"] = _text(template)
    return found


def _uint(value: int) -> Callable[[gguf.GGUFWriter, str], None]:
    return lambda writer, key: writer.add_uint32(key, value)


def _float(value: float) -> Callable[[gguf.GGUFWriter, str], None]:
    return lambda writer, key: writer.add_float32(key, value)


def _text(value: str) -> Callable[[gguf.GGUFWriter, str], None]:
    return lambda writer, key: writer.add_string(key, value)


def _array(value: list[Any]) -> Callable[[gguf.GGUFWriter, str], None]:
    return lambda writer, key: writer.add_array(key, value)


def _name(name: str) -> str:
    stem, _, end = name.rpartition(".")
    if stem in _NAMES:
        return f"{_NAMES[stem]}.{end}"
    _, _, block, part = stem.split(".", 3)
    return f"blk.{block}.{_NAMES[part]}.{end}"


def _sorted(family: str, name: str, tensor: torch.Tensor, checkpoint: Path) -> np.ndarray:
    """Rows of queries and keys in llama.cpp's order: both halves of a head taken in turns."""
    values = tensor.float().numpy()
    if ARCHITECTURES[family] != "llama" or not ("q_proj" in name or "k_proj" in name):
        return values
    config = AutoConfig.from_pretrained(checkpoint)
    heads = config.num_attention_heads if "q_proj" in name else config.num_key_value_heads
    halves = values.reshape(heads, 2, -1, values.shape[1])
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(values.shape)


def _add_tensor(
    writer: gguf.GGUFWriter, name: str, values: np.ndarray, kind: gguf.GGMLQuantizationType
) -> None:
    if values.ndim == 1 or values.shape[-1] % gguf.GGML_QUANT_SIZES[kind][0]:
        kind = gguf.GGMLQuantizationType.F32
    writer.add_tensor(name, gguf.quantize(values, kind), raw_dtype=kind)
