"""Tiny configurations of the decoder families beyond the first seven: every kind of block that they mix."""

from __future__ import annotations

from typing import Any

WIDTH = 32

_COMMON: dict[str, Any] = {
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 1024,
    "initializer_range": 0.15,
}
_LINEAR = {
    "num_hidden_layers": 5,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
_MIXTURE = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
_ROUTED = {
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
}
_SHARED = {"shared_expert_intermediate_size": 16}
_LATENT = {"kv_lora_rank": 16, "q_lora_rank": 16, "qk_rope_head_dim": 4, "qk_nope_head_dim": 8}
_PER_LAYER = {"hidden_size_per_layer_input": 4, "num_kv_shared_layers": 2, "global_head_dim": 16}
_MAMBA = {"ssm_state_size": 8, "mamba_num_heads": 4, "mamba_head_dim": 16, "n_groups": 2}
_MIXERS = ["linear_attention", "full_attention", "mlp", "linear_attention", "moe", "full_attention"]
_DENSE_MOE = {"moe_intermediate_size": 16, "moe_shared_expert_intermediate_size": 16, "n_routed_experts": 4}

ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "qwen3_5": ("Qwen3_5TextConfig", _LINEAR),
    "qwen3_next": ("Qwen3NextConfig", _LINEAR | _MIXTURE | _SHARED),
    "qwen3_5_moe": ("Qwen3_5MoeTextConfig", _LINEAR | _MIXTURE | _SHARED),
    "gemma4": (
        "Gemma4TextConfig",
        _PER_LAYER
        | {
            "num_hidden_layers": 6,
            "layer_types": ["sliding_attention", "full_attention"] * 3,
            "sliding_window": 8,
        },
    ),
    "gpt_oss": (
        "GptOssConfig",
        {
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
            "sliding_window": 8,
            "rope_parameters": {"rope_type": "default", "rope_theta": 150000.0},
        },
    ),
    "qwen3_moe": ("Qwen3MoeConfig", _MIXTURE),
    "mixtral": ("MixtralConfig", {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 8}),
    "glm4_moe": ("Glm4MoeConfig", _ROUTED),
    "deepseek_v3": (
        "DeepseekV3Config",
        _ROUTED | _LATENT | {"v_head_dim": 6, "num_key_value_heads": 4, "head_dim": None},
    ),
    "nemotron_h": (
        "NemotronHConfig",
        _MAMBA | _DENSE_MOE | {"chunk_size": 8, "layers_block_type": _MIXERS, "num_hidden_layers": None},
    ),
    "olmo3": ("Olmo3Config", {"num_hidden_layers": 5, "sliding_window": 8, "head_dim": None}),
    "phi3": ("Phi3Config", {"sliding_window": 8, "head_dim": None}),
    "smollm3": ("SmolLM3Config", {"head_dim": None}),
    "gpt_neox": ("GPTNeoXConfig", {"head_dim": None, "num_key_value_heads": None}),
    "gpt2": (
        "GPT2Config",
        {"n_embd": WIDTH, "n_layer": 4, "n_head": 4, "n_positions": 512},
    ),
}
"""By family: the class of its configuration, and fields beside the common ones; None takes one out."""


def fields(family: str) -> dict[str, Any]:
    """The fields of a tiny configuration, but for those of its tokenizer."""
    own = ARCHITECTURES[family][1]
    given = own if family == "gpt2" else _COMMON | own
    return {name: value for name, value in given.items() if value is not None}
