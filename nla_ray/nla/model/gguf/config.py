"""From a GGUF file's metadata to a configuration; whatever in it would be left out in silence is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import LlamaConfig, PreTrainedConfig, Qwen2Config, Qwen3Config
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from nla_ray.errors import CheckpointError
from nla_ray.nla.model.gguf.header import ARCHITECTURES, GgufFile, shape_of, short, values_of

ROPE_FREQUENCIES = "rope_freqs.weight"

CLASSES: dict[str, type[PreTrainedConfig]] = dict(
    zip(ARCHITECTURES, (LlamaConfig, Qwen2Config, Qwen3Config), strict=True)
)

_ACCOUNTED = frozenset(
    {
        "attention.head_count",
        "attention.head_count_kv",
        "attention.key_length",
        "attention.layer_norm_rms_epsilon",
        "attention.value_length",
        "block_count",
        "context_length",
        "embedding_length",
        "feed_forward_length",
        "rope.dimension_count",
        "rope.freq_base",
        "vocab_size",
    }
)
_NOTHING = {"rope.scaling.type": "none", "expert_count": 0, "expert_used_count": 0}

# The numbers of Llama 3.1 and later: a file holds the frequencies that follow from them, not the numbers.
_LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}


@dataclass(frozen=True)
class Tensor:
    """A tensor of a file: its name in the checkpoint, its shape, the heads that its rows are sorted by."""

    name: str
    shape: tuple[int, ...]
    heads: int | None = None


def config_of(file: GgufFile) -> PreTrainedConfig:
    """The configuration that the metadata describes.

    Raises CheckpointError for a key that would change the model and is not known.
    """
    arch = file.architecture
    _check_keys(file)
    blocks = file.of(f"{arch}.block_count", int)
    if not 0 < blocks <= len(file.tensors):
        raise CheckpointError.field(
            file.path,
            f"{arch}.block_count",
            blocks,
            f"the file has {len(file.tensors)} tensors; it is damaged",
        )
    width, heads = file.of(f"{arch}.embedding_length", int), file.of(f"{arch}.attention.head_count", int)
    head = file.of(f"{arch}.attention.key_length", int, width // max(heads, 1))
    for key in ("attention.value_length", "rope.dimension_count"):
        if (found := file.of(f"{arch}.{key}", int, head)) != head:
            raise CheckpointError.field(file.path, f"{arch}.{key}", found, f"heads of {head} were expected")
    fields: dict[str, Any] = {
        "hidden_size": width,
        "num_attention_heads": heads,
        "num_key_value_heads": file.of(f"{arch}.attention.head_count_kv", int, heads),
        "num_hidden_layers": blocks,
        "intermediate_size": file.of(f"{arch}.feed_forward_length", int),
        "max_position_embeddings": file.of(f"{arch}.context_length", int),
        "rms_norm_eps": file.positive(f"{arch}.attention.layer_norm_rms_epsilon"),
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": file.positive(f"{arch}.rope.freq_base", 10_000.0),
        },
        "vocab_size": len(file.of("tokenizer.ggml.tokens", list)),
        "tie_word_embeddings": "output.weight" not in file.tensors,
    }
    if arch == "qwen2" and head != width // heads:
        raise CheckpointError.field(
            file.path, f"{arch}.attention.key_length", head, f"{width // heads} fits Qwen2"
        )
    if arch != "qwen2":
        fields["head_dim"] = head
    config = _made(file, fields)
    if ROPE_FREQUENCIES in file.tensors:
        config = _made(file, fields | {"rope_parameters": _scaled(file, config)})
    return config


def tensors_of(file: GgufFile, config: PreTrainedConfig) -> dict[str, Tensor]:
    """Every tensor that the configuration asks for, by its name in the file.

    Raises CheckpointError unless the file has these, in these shapes, and no other.
    """
    wanted = dict(_wanted(file.architecture, config))
    missing = [name for name in wanted if name not in file.tensors]
    other = [name for name in file.tensors if name not in wanted and name != ROPE_FREQUENCIES]
    if missing or other:
        what = f"{missing[0]} is missing" if missing else f"{other[0]} belongs to none of its parts"
        raise CheckpointError(
            f"{file.path}: {what}: {len(missing)} tensors missing, {len(other)} too many for a "
            f"{file.architecture} of {config.num_hidden_layers} blocks; the file is damaged or of a variant "
            "that is not converted"
        )
    for name, one in wanted.items():
        if (found := shape_of(file.tensors[name])) != one.shape:
            raise CheckpointError.field(file.path, name, list(found), f"shape {list(one.shape)} was expected")
    return wanted


def _made(file: GgufFile, fields: dict[str, Any]) -> PreTrainedConfig:
    try:
        return CLASSES[file.architecture](**fields, **_special_ids(file))
    # A config class validates sizes against each other in ways of its own.
    except Exception as error:
        raise CheckpointError(
            f"{file.path}: its metadata describe no {file.architecture}: {str(error)[:200]}; the file is "
            "damaged"
        ) from error


def _check_keys(file: GgufFile) -> None:
    """A key of the architecture that nothing here reads would be left out: rope scaling, experts, windows."""
    prefix = f"{file.architecture}."
    for key in sorted(file.fields):
        name = key.removeprefix(prefix)
        if not key.startswith(prefix) or name in _ACCOUNTED:
            continue
        if name not in _NOTHING or file.fields[key] != _NOTHING[name]:
            raise CheckpointError.field(
                file.path,
                key,
                short(file.fields[key]),
                "this is not converted: use the original checkpoint in Hugging Face format",
            )


def _special_ids(file: GgufFile) -> dict[str, Any]:
    named = {"bos_token_id": "bos", "eos_token_id": "eos", "pad_token_id": "padding"}
    return {name: file.fields.get(f"tokenizer.ggml.{key}_token_id") for name, key in named.items()}


def _scaled(file: GgufFile, config: PreTrainedConfig) -> dict[str, Any]:
    """Rotary scaling of Llama 3, found in the divisors of the frequencies and computed again as a proof."""
    plain: dict[str, Any] = dict(config.rope_parameters)
    divisors = values_of(file, ROPE_FREQUENCIES)
    if np.all(divisors == 1):
        return plain
    told = plain | _LLAMA3 | {"rope_type": "llama3", "factor": float(divisors.max())}
    config.rope_parameters = told
    frequencies, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
    exponents = np.arange(0, config.head_dim, 2, dtype=np.float64) / config.head_dim
    computed = plain["rope_theta"] ** -exponents / frequencies.double().numpy()
    if computed.shape != divisors.shape or not np.allclose(computed, divisors, rtol=1e-3):
        raise CheckpointError(
            f"{file.path}: {ROPE_FREQUENCIES}: these rotary frequencies are not those of Llama 3 with factor "
            f"{told['factor']:g}: use the original checkpoint in Hugging Face format"
        )
    return told


def _wanted(arch: str, config: PreTrainedConfig) -> list[tuple[str, Tensor]]:
    width, rows = config.hidden_size, config.vocab_size
    found = [
        ("token_embd.weight", Tensor("model.embed_tokens.weight", (rows, width))),
        ("output_norm.weight", Tensor("model.norm.weight", (width,))),
    ]
    if not config.tie_word_embeddings:
        found.append(("output.weight", Tensor("lm_head.weight", (rows, width))))
    for block in range(config.num_hidden_layers):
        found += [
            (f"blk.{block}.{name}", Tensor(f"model.layers.{block}.{one.name}", one.shape, one.heads))
            for name, one in _of_block(arch, config)
        ]
    return found


def _of_block(arch: str, config: PreTrainedConfig) -> list[tuple[str, Tensor]]:
    width, inner = config.hidden_size, config.intermediate_size
    heads, pairs = config.num_attention_heads, config.num_key_value_heads
    head = getattr(config, "head_dim", None) or width // heads
    # llama.cpp turns neighbouring rows, transformers the halves of a head: `llama` files are sorted for it.
    sorted_by = (heads, pairs) if arch == "llama" else (None, None)
    found = [
        ("attn_norm.weight", Tensor("input_layernorm.weight", (width,))),
        ("attn_q.weight", Tensor("self_attn.q_proj.weight", (heads * head, width), sorted_by[0])),
        ("attn_k.weight", Tensor("self_attn.k_proj.weight", (pairs * head, width), sorted_by[1])),
        ("attn_v.weight", Tensor("self_attn.v_proj.weight", (pairs * head, width))),
        ("attn_output.weight", Tensor("self_attn.o_proj.weight", (width, heads * head))),
        ("ffn_norm.weight", Tensor("post_attention_layernorm.weight", (width,))),
        ("ffn_gate.weight", Tensor("mlp.gate_proj.weight", (inner, width))),
        ("ffn_up.weight", Tensor("mlp.up_proj.weight", (inner, width))),
        ("ffn_down.weight", Tensor("mlp.down_proj.weight", (width, inner))),
    ]
    if arch == "qwen2":
        found += [
            ("attn_q.bias", Tensor("self_attn.q_proj.bias", (heads * head,))),
            ("attn_k.bias", Tensor("self_attn.k_proj.bias", (pairs * head,))),
            ("attn_v.bias", Tensor("self_attn.v_proj.bias", (pairs * head,))),
        ]
    if arch == "qwen3":
        found += [
            ("attn_q_norm.weight", Tensor("self_attn.q_norm.weight", (head,))),
            ("attn_k_norm.weight", Tensor("self_attn.k_norm.weight", (head,))),
        ]
    return found
